// The registry of handlers: names, order, and that one handler's failure is its own.

import { describe, expect, test } from "vitest";
import { Handlers, parseNames } from "../src/handlers.js";

function registry() {
  const reported: unknown[] = [];
  const handlers = new Handlers<string>((error) => reported.push(error));
  const add = (text: string, handle: (argument: string) => unknown): string => {
    const names = parseNames(text);
    if (!names) throw new Error("malformed: " + text);
    return handlers.add(text, names, handle);
  };
  return { handlers, add, reported };
}

describe("names (protocol.md 9.3)", () => {
  test.each([
    ["chat", ["chat"], ["chat"]],
    ["chat.say", ["chat.say"], ["chat"]],
    ["#web_chat", ["_answer_to_web_chat"], []],
    ["#web_chat.error", ["_answer_to_web_chat.error"], []],
    ["msg", ["msg"], []],
    ["msg.event1", ["msg.event1"], []],
    ["_answer_pipe_count", ["_answer_pipe_count"], []],
    ["_answer_to_web_chat", ["_answer_to_web_chat"], []],
    ["answer_to_web_chat", ["answer_to_web_chat"], []],
    ["sys.serverInfo", ["sys.serverInfo"], []],
    ["msgs", ["msgs"], ["msgs"]],
    ["user_status_7.online", ["user_status_7.online"], ["user_status_7"]],
    ["", [""], []],
    [" \n", [""], []],
    ["a1\nb2.ev\r\n\nc3\n", ["a1", "b2.ev", "c3"], ["a1", "b2", "c3"]],
    ["x".repeat(64), ["x".repeat(64)], ["x".repeat(64)]],
    ["#" + "x".repeat(64), ["_answer_to_" + "x".repeat(64)], []],
  ])("%j", (text, signals, channels) => {
    expect(parseNames(text)).toEqual({ signals, channels });
  });

  test.each(["a", "x".repeat(65), "web chat", "чат", "chat.", "chat.a b", ".say", "#", "ok\nbad name"])(
    "%j is malformed", (text) => {
      expect(parseNames(text)).toBeUndefined();
    });

  test("S34: discouraged prefixes are ordinary", () => {
    for (const name of ["bin_a", "big_a", "push_a", "comet_a", "sys_a", "self_a", "trust_a"]) {
      expect(parseNames(name)?.channels).toEqual([name]);
    }
  });
});

describe("emission", () => {
  test("S66: in the order of the signals, each handler only its own", () => {
    const { handlers, add } = registry();
    const seen: string[] = [];
    add("", () => seen.push("all"));
    add("chat.say", () => seen.push("event"));
    add("chat", () => seen.push("channel"));
    add("other", () => seen.push("other"));
    handlers.emit(["chat", "chat.say", ""], "x");
    expect(seen).toEqual(["channel", "event", "all"]);
  });

  test("a handler whose names both match is called once", () => {
    const { handlers, add } = registry();
    let calls = 0;
    add("chat\nchat.say", () => (calls += 1));
    handlers.emit(["chat", "chat.say"], "x");
    expect(calls).toBe(1);
  });

  test("what one throws or rejects with reaches neither the others nor the caller", async () => {
    const { handlers, add, reported } = registry();
    const seen: string[] = [];
    add("chat", () => { throw new Error("thrown"); });
    add("chat", () => Promise.reject(new Error("rejected")));
    add("chat", (x) => void seen.push(x));
    await handlers.emit(["chat"], "x");
    expect(seen).toEqual(["x"]);
    expect(reported.map(String)).toEqual(["Error: thrown", "Error: rejected"]);
  });

  test("waits for promises of any make, and only if there are any", async () => {
    const { handlers, add } = registry();
    add("chat", () => undefined);
    expect(handlers.emit(["chat"], "x")).toBeUndefined();
    let release = (): void => undefined;
    add("chat", () => ({ then: (done: () => void) => { release = done; } }));
    let settled = false;
    void handlers.emit(["chat"], "x")?.then(() => { settled = true; });
    await Promise.resolve();
    expect(settled).toBe(false);
    release();
    await new Promise((done) => setTimeout(done));
    expect(settled).toBe(true);
  });

  test("a handler removed by an earlier one is not called any more", () => {
    const { handlers, add } = registry();
    let late = 0;
    add("chat", () => handlers.remove(id));
    const id = add("chat", () => (late += 1));
    handlers.emit(["chat"], "x");
    expect(late).toBe(0);
  });

  test("a handler added meanwhile waits for the next emission", () => {
    const { handlers, add } = registry();
    let late = 0;
    let added = false;
    add("chat", () => {
      if (!added) add("chat", () => (late += 1));
      added = true;
    });
    handlers.emit(["chat"], "x");
    expect(late).toBe(0);
    handlers.emit(["chat"], "x");
    expect(late).toBe(1);
  });
});

describe("registry", () => {
  test("S33: ids are `name&&number`, never used twice, and remove once", () => {
    const { handlers, add } = registry();
    const first = add("chat.say", () => undefined);
    expect(first).toBe("chat.say&&1");
    expect(handlers.remove(first)).toBe(true);
    expect(handlers.remove(first)).toBe(false);
    expect(add("chat.say", () => undefined)).toBe("chat.say&&2");
  });

  test("channels are those of the present handlers, once each", () => {
    const { handlers, add } = registry();
    const a = add("chat", () => undefined);
    const b = add("chat.say\nnews", () => undefined);
    add("msg", () => undefined);
    expect(handlers.channels()).toEqual(["chat", "news"]);
    handlers.remove(a);
    expect(handlers.channels()).toEqual(["chat", "news"]);
    handlers.remove(b);
    expect(handlers.channels()).toEqual([]);
    add("chat", () => undefined);
    handlers.clear();
    expect(handlers.channels()).toEqual([]);
  });

  test("names that look like properties of objects are only names", () => {
    const { handlers, add } = registry();
    let calls = 0;
    add("__proto__", () => (calls += 1));
    add("constructor", () => (calls += 1));
    handlers.emit(["__proto__"], "x");
    handlers.emit(["constructor"], "x");
    handlers.emit(["toString"], "x");
    expect(calls).toBe(2);
  });
});
