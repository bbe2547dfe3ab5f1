// What both faces share: channels told, order of dispatch, copies, sending.

import { beforeEach, describe, expect, test } from "vitest";
import { Client, COPIES_MAX, COPIES_MS, local, toBody, type Delivery, type SendCommand } from "../src/client.js";
import { CometError } from "../src/errors.js";
import { FakeEnv, failure, incoming, settle } from "./face_support.js";

let env: FakeEnv;
let reports: { command: SendCommand; receivers: number | undefined; code: string | undefined }[];
let client: Client<Delivery>;

beforeEach(() => {
  env = new FakeEnv();
  reports = [];
  client = new Client<Delivery>(env, {
    argument: (message) => message,
    status: () => undefined,
    error: () => undefined,
    report: (command, answer, error) => reports.push({ command, receivers: answer?.number_messages, code: error?.code }),
  });
});

function send(channel: string, event = "say", data: unknown = {}): SendCommand {
  const command = client.sendCommand(channel, event, data);
  if (!command) throw new Error("refused: " + channel);
  return command;
}

describe("channels", () => {
  test("one declaration for all that changes in a turn", async () => {
    client.subscribe("chat.say", () => undefined);
    client.subscribe("news", () => undefined);
    client.subscribe("msg", () => undefined);
    client.subscribe("#web_chat", () => undefined);
    client.subscribe("", () => undefined);
    expect(env.link.calls).toEqual([]);
    await settle();
    expect(env.link.calls).toEqual(["channels chat,news"]);
  });

  test("shrink when the last handler of a channel goes, and only then", async () => {
    const [a, b] = [client.subscribe("chat", () => undefined), client.subscribe("chat.say", () => undefined)];
    await settle();
    expect(client.unsubscribe(a ?? "")).toBe(true);
    await settle();
    expect(env.link.calls).toEqual(["channels chat"]);
    expect(client.unsubscribe(b ?? "")).toBe(true);
    await settle();
    expect(env.link.calls).toEqual(["channels chat", "channels "]);
  });

  test("leaving and coming back in one turn is nothing", async () => {
    const id = client.subscribe("track_online", () => undefined);
    await settle();
    client.unsubscribe(id ?? "");
    client.subscribe("track_online", () => undefined);
    await settle();
    expect(env.link.calls).toEqual(["channels track_online"]);
  });

  test("a command finds the channels declared before it, or history would have a gap", () => {
    client.subscribe("chat", () => undefined);
    void client.request({ kind: "history", channel: "chat" });
    expect(env.link.calls).toEqual(["channels chat", "history"]);
  });
});

describe("dispatch (protocol.md 2.7)", () => {
  test("channel, channel.event, the asker, everything", () => {
    const seen: string[] = [];
    client.subscribe("", () => seen.push("all"));
    client.subscribe("_answer.answer", () => seen.push("event"));
    client.subscribe("_answer", () => seen.push("channel"));
    void client.dispatch(local("_answer", "answer", 1), () => seen.push("asker"));
    expect(seen).toEqual(["channel", "event", "asker", "all"]);
  });

  test("a private message is handled when all its handlers have settled", async () => {
    const release: (() => void)[] = [];
    client.subscribe("msg", () => new Promise<void>((done) => release.push(done)));
    client.subscribe("", () => new Promise<void>((done) => release.push(done)));
    let handled = false;
    void Promise.resolve(env.link.receive({ pipe: "msg", uuid: "u" })).then(() => { handled = true; });
    await settle();
    release[0]?.();
    await settle();
    expect(handled).toBe(false);
    release[1]?.();
    await settle();
    expect(handled).toBe(true);
  });

  test("one that nobody wants is handled at once", () => {
    expect(env.link.receive({ pipe: "msg" })).toBeUndefined();
  });

  test("an event that is empty matches no event", () => {
    let calls = 0;
    client.subscribe("chat.say", () => (calls += 1));
    void env.link.receive({ pipe: "chat" });
    expect(calls).toBe(0);
  });
});

describe("copies of one message (protocol.md 9.4)", () => {
  const copy = (id: string) => ({ pipe: "web_chat", data: { text: "hi", _cometApi_uuid: id } });

  test("reach handlers once while they are remembered", () => {
    let calls = 0;
    client.subscribe("web_chat", () => (calls += 1));
    for (let n = 0; n < 3; n += 1) void env.link.receive(copy("a"));
    expect(calls).toBe(1);
    void env.link.receive(copy("b"));
    expect(calls).toBe(2);
    env.time = COPIES_MS - 1;
    void env.link.receive(copy("a"));
    expect(calls).toBe(2);
    env.time = COPIES_MS;
    void env.link.receive(copy("a"));
    expect(calls).toBe(3);
  });

  test("the memory is bounded; the oldest is forgotten first", () => {
    let calls = 0;
    client.subscribe("web_chat", () => (calls += 1));
    for (let n = 0; n < COPIES_MAX; n += 1) void env.link.receive(copy("c" + n));
    void env.link.receive(copy("c1"));
    expect(calls).toBe(COPIES_MAX);
    void env.link.receive(copy("new"));
    void env.link.receive(copy("c0"));
    expect(calls).toBe(COPIES_MAX + 2);
  });

  test("hold per channel, so that nobody silences another channel", () => {
    let calls = 0;
    client.subscribe("", () => (calls += 1));
    void env.link.receive(copy("a"));
    void env.link.receive({ ...copy("a"), pipe: "web_other" });
    expect(calls).toBe(2);
  });

  test.each([null, undefined, 7, "text", [], { _cometApi_uuid: 7 }, { _cometApi_uuid: {} }])("%j is no copy", (data) => {
    let calls = 0;
    client.subscribe("web_chat", () => (calls += 1));
    void env.link.receive({ pipe: "web_chat", data });
    void env.link.receive({ pipe: "web_chat", data });
    expect(calls).toBe(2);
  });

  test("a history tells each message once, also what came live", async () => {
    void env.link.receive(copy("a"));
    const history = client.history("web_chat");
    const messages = [copy("a"), copy("a"), copy("b")].map((message) => incoming({ ...message, history: true }));
    await env.link.last.answer(messages);
    expect((await history).map(({ data }) => (data as { _cometApi_uuid: string })._cometApi_uuid)).toEqual(["a", "b"]);
  });
});

describe("sending", () => {
  test("S43, S47: only web_*, webauth_* and @web_*", () => {
    expect(send("web_chat")).toMatchObject({ channel: "web_chat", anonymous: false });
    expect(send("@web_chat")).toMatchObject({ channel: "web_chat", anonymous: true });
    expect(send("webauth_chat")).toMatchObject({ channel: "webauth_chat", anonymous: false });
    for (const name of ["chat", "@webauth_chat", "@chat", "track_a", "Web_chat", " web_chat", "", "#web_chat", "msg"]) {
      expect(client.sendCommand(name, "", "{}")).toBeUndefined();
    }
  });

  test("every message has its own send key of name characters", () => {
    const keys = [send("web_chat"), send("web_chat")].map(({ sendKey }) => sendKey);
    expect(new Set(keys).size).toBe(2);
    for (const key of keys) expect(key).toMatch(/^[\w-]{8,64}$/);
  });

  test("the face learns what became of it, the sender gets it too", async () => {
    const sent = client.send(send("web_chat"));
    await env.link.last.answer({ number_messages: 3 });
    expect(await sent).toMatchObject({ number_messages: 3 });
    const refused = failure(client.send(send("web_chat")));
    await env.link.last.fail(new CometError("message_too_long", "too long"));
    expect((await refused).code).toBe("message_too_long");
    expect(reports.map(({ receivers, code }) => [receivers, code])).toEqual([[3, undefined], [undefined, "message_too_long"]]);
  });

  test("bodies are JSON of whatever has one", () => {
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    expect([undefined, null, "it's", 1, { a: 1 }].map(toBody)).toEqual(["null", "null", '"it\'s"', "1", '{"a":1}']);
    expect([cyclic, 1n, () => 1, Symbol("x")].map(toBody)).toEqual([undefined, undefined, undefined, undefined]);
  });
});
