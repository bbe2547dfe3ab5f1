// The old face: sending and asking (protocol.md 9.4, with what 9.6 mends).

import { beforeEach, describe, expect, test } from "vitest";
import { CometServerApi, type LegacyMessage } from "../src/legacy.js";
import { CometError } from "../src/errors.js";
import { FakeEnv, incoming, settle, type FakeLink } from "./face_support.js";

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

describe("web_pipe_send", () => {
  test("S42, S47, S49: all forms", () => {
    api.web_pipe_send("web_chat", "say", { text: "it's" });
    api.web_pipe_send("web_chat", { text: "it's" });
    api.web_pipe_send("web_chat.say", "text");
    api.web_pipe_send("@web_chat", "say", 1);
    api.web_pipe_send("@web_chat.say", null);
    api.web_pipe_send("webauth_chat", "", []);
    api.web_pipe_send("web_chat", undefined as never, undefined);
    expect(link.asked.map(({ command }) => ({ ...command, sendKey: "", kind: "" }))).toEqual([
      { channel: "web_chat", anonymous: false, event: "say", body: '{"text":"it\'s"}' },
      { channel: "web_chat", anonymous: false, event: "", body: '{"text":"it\'s"}' },
      { channel: "web_chat", anonymous: false, event: "say", body: '"text"' },
      { channel: "web_chat", anonymous: true, event: "say", body: "1" },
      { channel: "web_chat", anonymous: true, event: "say", body: "null" },
      { channel: "webauth_chat", anonymous: false, event: "", body: "[]" },
      { channel: "web_chat", anonymous: false, event: "", body: "null" },
    ].map((command) => ({ ...command, sendKey: "", kind: "" })));
  });

  test("true when connected, false when it waits, undefined when refused (S43)", () => {
    expect(api.web_pipe_send("web_chat", "say", 1)).toBe(false);
    link.open();
    expect(api.web_pipe_send("web_chat", "say", 1)).toBe(true);
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    expect(api.web_pipe_send("chat", "say", 1)).toBeUndefined();
    expect(api.web_pipe_send("@webauth_chat", "say", 1)).toBeUndefined();
    expect(api.web_pipe_send("web_chat", "say", cyclic)).toBeUndefined();
    expect(api.web_pipe_send(undefined as never, 1)).toBeUndefined();
    expect(api.web_pipe_send("web_chat.say", "event", 1)).toBeUndefined();
    expect(api.web_pipe_send("web_chat", "not an event", 1)).toBeUndefined();
    expect(link.asked).toHaveLength(2);
    expect(env.logged).toHaveLength(6);
  });

  test("S31, S45: the report carries the body as it was sent", async () => {
    const [reports, all] = [seen("#web_chat"), seen("")];
    api.web_pipe_send("@web_chat", "say", { a: 1 });
    await link.last.answer({ number_messages: 3 });
    expect(reports).toEqual([{
      data: { number_messages: 3, message: '{"a":1}', error: "" },
      server_info: { user_id: 0, pipe: "_answer_to_web_chat", event: "answer", history: false, marker: undefined, uuid: undefined },
    }]);
    expect(all).toEqual(reports);
  });

  test("Q23: a refused message is told to `sys` and to `#channel`", async () => {
    const [reports, errors] = [seen("#web_chat"), seen("sys.error")];
    api.web_pipe_send("web_chat", "say", 1);
    await link.last.fail(new CometError("message_too_long", "too long"));
    expect(reports[0]?.server_info.event).toBe("error");
    expect(reports[0]?.data).toEqual({ number_messages: -1, message: "1", error: "too long", code: "message_too_long" });
    expect(errors[0]?.data).toEqual(reports[0]?.data);
  });

  test("S46: what a body says about itself stays in the body", async () => {
    const messages = seen("web_chat");
    void link.receive({ pipe: "web_chat", data: { user_id: 9, server_info: { user_id: 9 } }, userId: 7 });
    void link.receive({ pipe: "web_chat", data: "A::9;hello", userId: 0 });
    expect(messages.map(({ server_info }) => server_info.user_id)).toEqual([7, 0]);
    expect(messages[1]?.data).toBe("A::9;hello");
  });
});

describe("multi_web_pipe_send", () => {
  test("sends copies with one mark, each a message of its own", async () => {
    const message = { text: "hi" };
    expect(api.multi_web_pipe_send("web_chat", "say", message)).toBe(false);
    await env.pass(999);
    expect(link.asked).toHaveLength(1);
    await env.pass(10_000);
    const sent = link.asked.map(({ command }) => command as { body: string; sendKey: string });
    expect(sent).toHaveLength(3);
    expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
    expect(new Set(sent.map(({ sendKey }) => sendKey)).size).toBe(3);
    expect(JSON.parse(sent[0]?.body ?? "")).toEqual({ text: "hi", _cometApi_uuid: expect.stringMatching(/^\w{16}$/) });
    expect(message).toEqual({ text: "hi" });
  });

  test("count and interval; a refused channel sends nothing", async () => {
    api.multi_web_pipe_send("web_chat", "say", {}, 2, 50);
    await env.pass(49);
    expect(link.asked).toHaveLength(1);
    await env.pass(1000);
    expect(link.asked).toHaveLength(2);
    expect(api.multi_web_pipe_send("chat", "say", {})).toBeUndefined();
    await env.pass(10_000);
    expect(link.asked).toHaveLength(2);
  });
});

describe("get_pipe_log (S52, S55, S56)", () => {
  const history = [incoming({ pipe: "chat", event: "say", data: 1, userId: 7, history: true, uuid: "u" })];

  test("to the ordinary handlers, with history true and a marker", async () => {
    const [messages, others] = [seen("chat.say"), seen("other")];
    api.get_pipe_log("chat");
    expect(link.last.command).toEqual({ kind: "history", channel: "chat" });
    await link.last.answer(history);
    expect(messages[0]?.server_info).toEqual({
      user_id: 7, pipe: "chat", event: "say", history: true, marker: expect.stringMatching(/^[\w-]{1,64}$/), uuid: "u",
    });
    expect(others).toEqual([]);
  });

  test("again and again, also what came live", async () => {
    const messages = seen("chat");
    void link.receive({ ...history[0], pipe: "chat", history: false });
    for (let n = 0; n < 2; n += 1) {
      api.get_pipe_log("chat");
      await link.last.answer(history);
    }
    expect(messages.map(({ server_info }) => server_info.history)).toEqual([false, true, true]);
    expect(messages[1]?.server_info.marker).not.toBe(messages[2]?.server_info.marker);
  });

  test("with a function: it becomes a handler of the channel, once", async () => {
    const messages: LegacyMessage[] = [];
    const handler = (message: LegacyMessage): void => void messages.push(message);
    api.get_pipe_log("chat", handler);
    api.get_pipe_log("chat", handler);
    expect(link.calls).toEqual(["channels chat", "history", "history"]);
    await link.last.answer(history);
    void link.receive({ pipe: "chat" });
    expect(messages.map(({ server_info }) => server_info.history)).toEqual([true, false]);
  });

  test("a refused one is an error signal", async () => {
    const errors = seen("sys.error");
    api.get_pipe_log("private_chat");
    await link.last.fail(new CometError("not_authorized", "no"));
    expect(errors.map(({ data }) => data)).toMatchObject([{ code: "not_authorized" }]);
  });
});

describe("questions", () => {
  test("S57: count_users_in_pipe, to the function and to the signal", async () => {
    const [signal, asked] = [seen("_answer_pipe_count"), [] as LegacyMessage[]];
    api.count_users_in_pipe("web_chat", (message) => void asked.push(message));
    expect(link.last.command).toEqual({ kind: "count", channel: "web_chat" });
    await link.last.answer({ user_in_pipe: 5 });
    expect(asked[0]?.data).toEqual({ user_in_pipe: 5 });
    expect(asked[0]?.server_info).toMatchObject({ pipe: "_answer_pipe_count", event: "user_in_pipe", history: false });
    expect(signal).toEqual(asked);
  });

  test("S58: for other channels the function is not called", async () => {
    const [errors, asked] = [seen("sys.error"), [] as LegacyMessage[]];
    api.count_users_in_pipe("chat_pipe", (message) => void asked.push(message));
    await link.last.fail(new CometError("channel_refused", "no"));
    expect([asked.length, errors.length]).toEqual([0, 1]);
  });

  test("S40: getTrackPipeUsers and getUserData", async () => {
    const [signal, asked] = [seen("_answer"), [] as unknown[]];
    api.getTrackPipeUsers("track_online", ({ data }) => void asked.push(data));
    await link.last.answer([{ user_id: 7, uuid: "u" }]);
    api.getUserData(7, ({ data }) => void asked.push(data));
    expect(link.last.command).toEqual({ kind: "userData", user: "7" });
    await link.last.answer({ user_id: 7, user_data: "<b>" });
    expect(asked).toEqual([[{ user_id: 7, uuid: "u" }], { user_id: 7, user_data: "<b>" }]);
    expect(signal.map(({ data }) => data)).toEqual(asked);
  });

  test("without a function, and with one that throws", async () => {
    api.getUserData("8");
    await link.last.answer({ user_id: 8, user_data: "" });
    api.getUserData("8", () => { throw new Error("page"); });
    await link.last.answer({ user_id: 8, user_data: "" });
    expect(env.reported.map(String)).toEqual(["Error: page"]);
  });

  test("sendStatistics", async () => {
    api.sendStatistics("plugin", "1.0", { a: 1 });
    expect(link.last.command).toEqual({ kind: "statistics", body: '{"plugin":"plugin","version":"1.0","data":{"a":1}}' });
    await link.last.answer({});
  });
});

test("everything called before start waits in the link, in the order of the calls", async () => {
  api.subscription("web_chat", () => undefined);
  api.web_pipe_send("web_chat", "say", 1);
  api.get_pipe_log("web_chat");
  api.start();
  await settle();
  expect(link.calls).toEqual(["channels web_chat", "send", "history", "start"]);
});
