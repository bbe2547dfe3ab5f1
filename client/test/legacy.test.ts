// The old face: connecting, receiving (protocol.md 9.1 to 9.3, with what 9.6 mends).

import { beforeEach, describe, expect, test } from "vitest";
import { CometServerApi, type LegacyMessage } from "../src/legacy.js";
import { CometError } from "../src/errors.js";
import { FakeEnv, settle, type FakeLink } from "./face_support.js";

let env: FakeEnv;
let api: CometServerApi;
let link: FakeLink;

beforeEach(() => {
  env = new FakeEnv();
  api = new CometServerApi(env);
  link = env.link;
});

const seen = (name: string): LegacyMessage[] => {
  const messages: LegacyMessage[] = [];
  api.subscription(name, (message) => void messages.push(message));
  return messages;
};

describe("start and restart (9.1, 9.2)", () => {
  test("S5, S6, S21, S22: options as the documents print them", () => {
    api.start({ dev_id: 15, user_key: "key", user_id: "7", node: "host:8087" });
    expect(link.options).toEqual([{
      nodes: ["ws://host:8087"], devId: "15", userId: "7", userKey: "key", uuid: api.getUUID(), chosen: false, statistics: true,
    }]);
  });

  test("S23: nothing is needed; the node is where the script came from", () => {
    api.start();
    expect(link.options[0]).toMatchObject({ nodes: ["ws://site:8087"], devId: "0", userId: "", userKey: "" });
  });

  test("S24, S25: restart replaces what it is given and keeps the rest", () => {
    api.start({ user_id: 7, user_key: "old", node: "host" });
    api.restart({ user_key: "new" });
    api.restart();
    expect(link.calls).toEqual(["start", "restart", "restart"]);
    expect(link.options.map(({ userId, userKey, nodes }) => [userId, userKey, ...nodes])).toEqual([
      ["7", "old", "ws://host"], ["7", "new", "ws://host"], ["7", "new", "ws://host"],
    ]);
    expect([api.getUserId(), api.getUserKey(), api.getDevId()]).toEqual([7, "new", "0"]);
  });

  test("a second start keeps what it does not name, and leaves it to the link whether to reconnect", () => {
    api.start({ user_id: 7, node: "host" });
    api.start({ nostat: true });
    expect(link.options[1]).toMatchObject({ userId: "7", nodes: ["ws://host"], statistics: false });
  });

  test("several nodes: all, or one of a round robin", () => {
    api.start({ node: ["a", "b"], user_id: 1 });
    api.restart({ roundrobin: true });
    api.restart({ nodes: ["c/comet-server"], roundrobin: false });
    expect(link.options.map(({ nodes }) => nodes)).toEqual([["ws://a", "ws://b"], ["ws://b"], ["ws://c/comet-server"]]);
  });

  test("UseWss and the option wss choose the scheme", () => {
    expect(api.isUseWss()).toBe(false);
    api.UseWss(true);
    expect(api.isUseWss()).toBe(true);
    api.start({ node: "host" });
    api.restart({ wss: false });
    expect(link.options.map(({ nodes }) => nodes)).toEqual([["wss://host"], ["ws://host"]]);
    expect(api.isUseWss()).toBe(false);
  });

  test("user and key from cookies, under the default names or the page's own, unless given", () => {
    env.cookieText = "CometUserid=7; CometUserKey=a%20b; MyKey=mine; Bad=%E0%A4%A";
    expect([api.getUserId(), api.getUserKey()]).toEqual(["7", "a b"]);
    api.start({ CookieKyeName: "MyKey", CookieIdName: "Bad" });
    expect(link.options[0]).toMatchObject({ userId: "", userKey: "mine" });
    api.restart({ user_id: 8, user_key: "given" });
    expect(link.options[1]).toMatchObject({ userId: "8", userKey: "given" });
  });

  test("a page that may not read its cookies is anonymous", () => {
    const forbidden = new FakeEnv();
    Object.defineProperty(forbidden, "cookies", { value: () => { throw new Error("SecurityError"); } });
    new CometServerApi(forbidden).start();
    expect(forbidden.link.options[0]).toMatchObject({ userId: "", userKey: "" });
  });

  test("options that are nonsense never throw", () => {
    for (const options of [null, 7, "x", [], { node: {}, user_id: {}, user_key: 5, dev_id: null, uuid: "a b" }]) {
      expect(() => api.start(options as never)).not.toThrow();
    }
    expect(link.options.at(-1)).toMatchObject({ nodes: ["ws://site:8087"], userId: "", userKey: "5", devId: "0" });
  });

  test("the callback of start runs once, when connecting has begun and the tab's part is known", () => {
    let calls = 0;
    api.start({}, () => (calls += 1));
    link.become({ state: "connecting" });
    expect(calls).toBe(0);
    link.become({ master: false });
    link.open();
    link.become({ state: "waiting" });
    expect(calls).toBe(1);
    api.start({}, () => (calls += 1));
    expect(calls).toBe(2);
    // Right now a hidden master is not certain, which is no news.
    link.status = { ...link.status, master: undefined };
    api.start({}, () => (calls += 1));
    expect(calls).toBe(3);
  });

  test("the key of one user is not shown to the next", () => {
    api.start({ user_id: 7, user_key: "key" });
    link.open();
    expect(api.getRealUserKey()).toBe("key");
    api.restart({ user_id: 8, user_key: "other" });
    link.become({ state: "connecting", authorized: undefined, realKey: "" });
    expect(api.getRealUserKey()).toBe("");
  });

  test("an empty list of nodes is none", () => {
    api.start({ nodes: [], node: "host" });
    expect(link.options[0]?.nodes).toEqual(["ws://host"]);
  });

  test("isConnected means open; isMaster and isAuthorized are undefined before they are known (S20, S60)", () => {
    const states = () => [api.isConnected(), api.isMaster(), api.isAuthorized()];
    expect(states()).toEqual([false, undefined, undefined]);
    api.start();
    link.become({ state: "connecting", master: true });
    expect(states()).toEqual([false, true, undefined]);
    link.open(false);
    expect(states()).toEqual([true, true, false]);
    api.stop();
    expect(states()[0]).toBe(false);
  });

  test("ids: the browser's is kept, the tab's is 16 characters, the real key is the server's", () => {
    expect(api.getUUID()).toHaveLength(32);
    expect(new CometServerApi(env).getUUID()).toBe(api.getUUID());
    expect(api.getTabUUID()).toHaveLength(16);
    link.open();
    expect(api.getRealUserKey()).toBe("key");
    api.setRealUserKey("other");
    expect(api.getRealUserKey()).toBe("other");
  });

  test("the log level is remembered, and no log names a key", () => {
    api.setLogLevel(9);
    expect(env.stored.get("comet_LogLevel")).toBe("9");
    const again = new CometServerApi(env);
    expect(again.getLogLevel()).toBe(9);
    again.start({ user_id: 7, user_key: "secret-key" });
    env.link.become({ state: "open", authorized: true, realKey: "secret-key" });
    void env.link.receive({ pipe: "chat", data: "x" });
    expect(env.logged.length).toBeGreaterThan(0);
    expect(JSON.stringify(env.logged)).not.toContain("secret-key");
    again.setLogLevel(0);
    env.logged.length = 0;
    expect(again.subscription("a b", () => undefined)).toBe(false);
    expect(env.logged).toEqual([]);
  });
});

describe("authorization (S16 to S20)", () => {
  let told: string[];
  beforeEach(() => {
    told = [];
    api.onAuthSuccess(() => told.push("success"));
    api.onAuthFalill(() => told.push("failure"));
    api.start();
  });

  test("each change once, from the first connection on", () => {
    link.become({ state: "connecting" });
    expect(told).toEqual([]);
    link.open(true);
    link.become({ state: "waiting" });
    link.open(true);
    expect(told).toEqual(["success"]);
    link.open(false);
    link.open(false);
    link.open(true);
    expect(told).toEqual(["success", "failure", "success"]);
  });

  test("a restart that ends where it began is no change", () => {
    link.open(true);
    link.become({ state: "connecting", authorized: undefined });
    link.open(true);
    expect(told).toEqual(["success"]);
  });

  test("any number of handlers; one that throws is reported and keeps nobody", () => {
    api.onAuthSuccess(() => { throw new Error("page"); });
    api.onAuthSuccess(() => told.push("third"));
    link.open(true);
    expect(told).toEqual(["success", "third"]);
    expect(env.reported.map(String)).toEqual(["Error: page"]);
  });
});

describe("receiving (9.3)", () => {
  test("S26, S48 to S52: the handler's argument", () => {
    const messages = seen("chat");
    void link.receive({ pipe: "chat", event: "say", data: { a: 1 }, userId: 7, uuid: "u" });
    void link.receive({ pipe: "chat", data: "it's \\' text\u2028" });
    expect(messages).toEqual([
      { data: { a: 1 }, server_info: { user_id: 7, pipe: "chat", event: "say", history: false, marker: undefined, uuid: "u" } },
      { data: "it's \\' text\u2028", server_info: { user_id: 0, pipe: "chat", event: undefined, history: false, marker: undefined, uuid: undefined } },
    ]);
  });

  test("S13, S14, S30, S66: names and events, private messages", async () => {
    const [all, one, other, lines] = [seen("msg"), seen("msg.event1"), seen("chat.say"), seen("chat\nnews.x")];
    void link.receive({ pipe: "msg", event: "event1" });
    void link.receive({ pipe: "msg", event: "event2" });
    void link.receive({ pipe: "chat", event: "say" });
    void link.receive({ pipe: "news", event: "x" });
    void link.receive({ pipe: "news", event: "y" });
    expect([all.length, one.length, other.length, lines.length]).toEqual([2, 1, 1, 2]);
    await settle();
    expect(link.declared).toEqual(["chat", "news"]);
  });

  test("S32: a function alone, or the empty name, gets everything", () => {
    const pipes: string[] = [];
    expect(api.subscription((message) => pipes.push(message.server_info.pipe))).toBe("&&1");
    expect(seen("")).toEqual([]);
    void link.receive({ pipe: "chat" });
    void link.receive({ pipe: "msg" });
    expect(pipes).toEqual(["chat", "msg"]);
  });

  test("S33, S41: ids, the alias, unsubscribing shrinks what the server is told", async () => {
    let calls = 0;
    const id = api.Subscription("track_online.subscription", () => (calls += 1));
    expect(id).toBe("track_online.subscription&&1");
    await settle();
    void link.receive({ pipe: "track_online", event: "subscription" });
    expect(api.unsubscription(id as string)).toBe(true);
    expect(api.unsubscription(id as string)).toBe(false);
    await settle();
    void link.receive({ pipe: "track_online", event: "subscription" });
    expect(calls).toBe(1);
    expect(link.calls).toEqual(["channels track_online", "channels "]);
    seen("chat");
    await settle();
    expect(api.unsubscriptionAll()).toBe(true);
    await settle();
    expect(link.declared).toEqual([]);
  });

  test("refused: false, never an exception", () => {
    const nothing = undefined as never;
    expect(api.subscription("a b", () => undefined)).toBe(false);
    expect(api.subscription("chat", nothing)).toBe(false);
    expect(api.subscription(nothing, () => undefined)).toBe(false);
    expect(api.subscription({} as never, () => undefined)).toBe(false);
    expect(api.unsubscription(nothing)).toBe(false);
    expect(env.logged.every(([level]) => level === 1)).toBe(true);
  });

  test("a page's promise holds a private message back", async () => {
    let release = (): void => undefined;
    api.subscription("msg", () => new Promise<void>((done) => { release = done; }));
    let handled = false;
    void Promise.resolve(link.receive({ pipe: "msg" })).then(() => { handled = true; });
    await settle();
    expect(handled).toBe(false);
    release();
    await settle();
    expect(handled).toBe(true);
  });

  test("what looks like code is text", () => {
    const messages = seen("chat");
    void link.receive({ pipe: "chat", data: { jscode: "throw 1" } });
    expect(messages[0]?.data).toEqual({ jscode: "throw 1" });
  });
});

describe("what the server says besides (2.7)", () => {
  test("every serverInfo is a signal, a change of master alone is not", () => {
    const infos = seen("sys.serverInfo");
    link.open();
    expect(infos.map(({ data }) => data)).toEqual(["key"]);
    link.become({ master: false });
    expect(infos).toHaveLength(1);
    link.become({});
    link.become({ authorized: false });
    expect(infos).toHaveLength(3);
  });

  test("errors, and the fatal one with its number, once", () => {
    const errors = seen("sys.error");
    link.handler.error(new CometError("channel_refused", "no"));
    link.become({ state: "refused", error: new CometError("origin_refused", "not you") });
    link.become({ master: true });
    expect(errors.map(({ data }) => data)).toEqual([
      { error: "no", code: "channel_refused" },
      { error: "not you", code: "origin_refused", error_code: 423 },
    ]);
  });
});

describe("the signal bus", () => {
  test("carries every message and the page's own signals", () => {
    const values: unknown[] = [];
    const id = api.bus.subscribe("chat.say", (value) => values.push(value));
    api.bus.subscribe("my own signal", (value) => values.push(value));
    void link.receive({ pipe: "chat", event: "say", data: 1 });
    api.bus.emit("my own signal", 2);
    api.bus.emit("nobody listens");
    expect(values).toMatchObject([{ data: 1 }, 2]);
    expect(api.bus.unsubscribe(id)).toBe(true);
    void link.receive({ pipe: "chat", event: "say", data: 1 });
    expect(values).toHaveLength(2);
  });

  test("listening to it subscribes to nothing at the server", async () => {
    api.bus.subscribe("chat", () => undefined);
    await settle();
    expect(link.calls).toEqual([]);
  });
});
