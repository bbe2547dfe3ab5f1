// The real surroundings, with the browser's globals played by the test.

import { afterEach, describe, expect, test, vi } from "vitest";
import { browserEdges, type BrowserEvent } from "../src/edges.js";

afterEach(() => vi.unstubAllGlobals());

class FakeSocket {
  static last: FakeSocket | undefined;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  readonly sent: string[] = [];
  closes = 0;

  constructor(readonly url: string) {
    if (url === "forbidden") throw new SyntaxError("forbidden");
    FakeSocket.last = this;
  }

  send(text: string): void {
    if (text === "too early") throw new Error("InvalidStateError");
    this.sent.push(text);
  }

  close(): void {
    this.closes += 1;
  }
}

function connected() {
  vi.stubGlobal("WebSocket", FakeSocket);
  const heard: unknown[] = [];
  const socket = browserEdges().connect("ws://node", { frame: (data) => heard.push(data), closed: () => heard.push("closed") });
  const real = FakeSocket.last;
  if (typeof socket === "string" || !real) throw new Error("no socket");
  return { socket, real, heard };
}

describe("sockets", () => {
  test("pass on what they hear and take what they are given", () => {
    const { socket, real, heard } = connected();
    real.onmessage?.({ data: "a" });
    expect(socket.send("text")).toBe(true);
    expect(socket.send("too early")).toBe(false);
    real.onclose?.();
    expect(heard).toEqual(["a", "closed"]);
    expect(real.onclose).toBeNull();
  });

  test("that fail end once, whether close follows or not", () => {
    const { real, heard } = connected();
    real.onerror?.();
    expect(heard).toEqual(["closed"]);
    expect([real.onerror, real.onclose]).toEqual([null, null]);
  });

  test("say nothing after they were closed", () => {
    const { socket, real } = connected();
    socket.close();
    expect([real.closes, real.onmessage, real.onclose]).toEqual([1, null, null]);
  });

  test("that cannot be are a reason, not an exception", () => {
    vi.stubGlobal("WebSocket", undefined);
    const listener = { frame: () => undefined, closed: () => undefined };
    expect(browserEdges().connect("ws://node", listener)).toBe("no_websocket");
    vi.stubGlobal("WebSocket", FakeSocket);
    expect(browserEdges().connect("forbidden", listener)).toBe("unreachable");
  });
});

describe("news", () => {
  function target(): EventTarget {
    const page = new EventTarget();
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
    return page;
  }

  test("of network and visibility arrive until nobody wants them", () => {
    const page = target();
    const document = { visibilityState: "visible" };
    vi.stubGlobal("document", document);
    const heard: BrowserEvent[] = [];
    const end = browserEdges().listen((event) => heard.push(event));
    page.dispatchEvent(new Event("offline"));
    page.dispatchEvent(new Event("online"));
    page.dispatchEvent(new Event("visibilitychange"));
    page.dispatchEvent(new Event("pageshow"));
    document.visibilityState = "hidden";
    page.dispatchEvent(new Event("visibilitychange"));
    expect(heard).toEqual(["offline", "online", "visible", "visible"]);
    end();
    page.dispatchEvent(new Event("online"));
    page.dispatchEvent(new Event("visibilitychange"));
    expect(heard).toHaveLength(4);
  });

  test("a worker has no document, other places have no events at all", () => {
    const page = target();
    const heard: BrowserEvent[] = [];
    const end = browserEdges().listen((event) => heard.push(event));
    page.dispatchEvent(new Event("online"));
    end();
    expect(heard).toEqual(["online"]);
    vi.stubGlobal("addEventListener", undefined);
    expect(() => browserEdges().listen(() => undefined)()).not.toThrow();
  });

  test("only a browser that is sure says offline", () => {
    vi.stubGlobal("navigator", { onLine: false });
    expect(browserEdges().online()).toBe(false);
    for (const navigator of [undefined, {}, { onLine: true }]) {
      vi.stubGlobal("navigator", navigator);
      expect(browserEdges().online()).toBe(true);
    }
  });
});

describe("the rest", () => {
  test("soon runs after what is under way, with and without MessageChannel", async () => {
    for (const channel of [MessageChannel, undefined]) {
      vi.stubGlobal("MessageChannel", channel);
      const order: string[] = [];
      const done = new Promise<void>((resolve) => browserEdges().soon(() => {
        order.push("soon");
        resolve();
      }));
      order.push("now");
      await done;
      expect(order).toEqual(["now", "soon"]);
    }
  });

  test("a report goes where the browser reports uncaught errors", () => {
    vi.useFakeTimers();
    browserEdges().report(new Error("oops"));
    expect(() => vi.runAllTimers()).toThrow("oops");
    vi.useRealTimers();
  });

  test("a cancelled timer does not run", () => {
    vi.useFakeTimers();
    const run = vi.fn();
    const edges = browserEdges();
    edges.timer(run, 10);
    edges.timer(() => run("cancelled"), 10)();
    vi.advanceTimersByTime(20);
    expect(run.mock.calls).toEqual([[]]);
    vi.useRealTimers();
  });
});
