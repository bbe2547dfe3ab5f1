// The modern face: what api.ts promises, over a link that answers what the test says.

import { beforeEach, describe, expect, test } from "vitest";
import { CometClient } from "../src/modern.js";
import { CometError } from "../src/errors.js";
import type { CometOptions, Message, SentReport } from "../src/api.js";
import type { Status } from "../src/types.js";
import { FakeEnv, failure, incoming, settle } from "./face_support.js";

let env: FakeEnv;

beforeEach(() => {
  env = new FakeEnv();
});

function open(options: CometOptions = {}) {
  const comet = new CometClient(env, options);
  return { comet, link: env.link };
}

describe("connecting", () => {
  test("in the next turn, after the handlers of this one", async () => {
    const { comet, link } = open({ url: "https://host/comet-server", userId: 7, userKey: "key", devId: 15 });
    comet.on("chat", () => undefined);
    expect(link.calls).toEqual([]);
    await settle();
    expect([...link.calls].sort()).toEqual(["channels chat", "start"]);
    expect(link.options).toEqual([{
      nodes: ["wss://host/comet-server"], devId: "15", userId: "7", userKey: "key",
      uuid: env.stored.get("comet_server_uuid"), chosen: false, statistics: false,
    }]);
  });

  test("autostart false waits for start, which a closed one ignores", async () => {
    const { comet, link } = open({ autostart: false });
    await settle();
    expect(link.calls).toEqual([]);
    comet.start();
    expect(link.calls).toEqual(["start"]);
    comet.close();
    comet.start();
    comet.restart();
    expect(link.calls).toEqual(["start", "stop"]);
  });

  test("S24, S25: restart replaces what it is given", async () => {
    const { comet, link } = open({ url: ["a", "b"], userId: 7, userKey: "old" });
    await settle();
    comet.restart({ userKey: "new" });
    comet.restart({ roundrobin: true });
    expect(link.options.map(({ userKey, nodes }) => [userKey, ...nodes])).toEqual([
      ["old", "ws://a", "ws://b"], ["new", "ws://a", "ws://b"], ["new", "ws://b"],
    ]);
  });

  test("states, for the page to show", async () => {
    const { comet, link } = open();
    const states: string[] = [];
    const off = comet.onState(({ state }) => states.push(state));
    expect([comet.state, comet.authorized, comet.isMaster]).toEqual(["idle", undefined, undefined]);
    link.become({ state: "connecting" });
    link.open(false);
    expect([comet.state, comet.authorized, comet.isMaster]).toEqual(["open", false, true]);
    link.become({ state: "refused", error: new CometError("origin_refused", "no") });
    expect(comet.connection.error?.code).toBe("origin_refused");
    off();
    link.open();
    expect(states).toEqual(["connecting", "open", "refused"]);
  });

  test("errors that belong to no request", () => {
    const { comet, link } = open();
    const codes: string[] = [];
    const stop = new AbortController();
    comet.onError(() => { throw new Error("page"); });
    comet.onError(({ code }) => codes.push(code), { signal: stop.signal });
    link.handler.error(new CometError("channel_refused", "no"));
    stop.abort();
    link.handler.error(new CometError("bad_frame", "no"));
    expect(codes).toEqual(["channel_refused"]);
    expect(env.reported).toHaveLength(2);
  });

  test("a closed one does not stay in the application's signal", () => {
    const { signal } = new AbortController();
    const heard = new Set<unknown>();
    signal.addEventListener = (_: string, listener: unknown) => void heard.add(listener);
    signal.removeEventListener = (_: string, listener: unknown) => void heard.delete(listener);
    const { comet } = open({ signal });
    expect(heard.size).toBe(1);
    comet.close();
    expect(heard.size).toBe(0);
  });

  test("an aborted signal closes everything", async () => {
    const stop = new AbortController();
    const { comet, link } = open({ signal: stop.signal });
    const messages = comet.messages("chat");
    comet.on("news", () => undefined);
    await settle();
    expect(link.declared).toEqual(["chat", "news"]);
    stop.abort();
    await settle();
    expect(link.declared).toEqual([]);
    expect(comet.state).toBe("stopped");
    expect((await messages.next()).done).toBe(true);
  });
});

describe("receiving", () => {
  test("the message as the handler sees it", () => {
    const { comet, link } = open();
    const seen: Message<{ a: number }>[] = [];
    comet.on<{ a: number }>("chat.say", (message) => seen.push(message));
    void link.receive({ pipe: "chat", event: "say", data: { a: 1 }, userId: 7, uuid: "u" });
    void link.receive({ pipe: "chat", event: "other" });
    expect(seen).toEqual([{
      data: { a: 1 }, channel: "chat", event: "say", userId: 7, history: false, fromQueue: false, uuid: "u",
      time: 1_700_000_000,
    }]);
  });

  test("a malformed name is the programmer's error", () => {
    expect(() => open().comet.on("a b", () => undefined)).toThrow(RangeError);
  });

  test("removing, by the result or by a signal, shrinks the channels", async () => {
    const { comet, link } = open({ autostart: false });
    const stop = new AbortController();
    const off = comet.on("chat", () => undefined);
    comet.on("news", () => undefined, { signal: stop.signal });
    comet.on("never", () => undefined, { signal: AbortSignal.abort() });
    await settle();
    off();
    off();
    await settle();
    stop.abort();
    await settle();
    expect(link.calls).toEqual(["channels chat,news", "channels news", "channels "]);
  });

  test("a private message counts as delivered when its async handlers have settled", async () => {
    const { comet, link } = open();
    let release = (): void => undefined;
    comet.on("msg", async () => { await new Promise<void>((done) => { release = done; }); throw new Error("page"); });
    let handled = false;
    void Promise.resolve(link.receive({ pipe: "msg", uuid: "u", fromQueue: true })).then(() => { handled = true; });
    await settle();
    expect(handled).toBe(false);
    release();
    await settle();
    expect(handled).toBe(true);
    expect(env.reported.map(String)).toEqual(["Error: page"]);
  });
});

describe("sending", () => {
  test("the report is the result", async () => {
    const { comet, link } = open();
    const sent = comet.send("@web_chat", "say", { text: "hi" });
    expect(link.last.command).toMatchObject({ channel: "web_chat", anonymous: true, event: "say", body: '{"text":"hi"}' });
    await link.last.answer({ number_messages: 2, repeated: true });
    expect(await sent).toEqual({ receivers: 2, repeated: true });
  });

  test("the event may be part of the name, or absent", async () => {
    const { comet, link } = open();
    void comet.send("web_chat.say", "text");
    void comet.send("web_chat", "text");
    expect(link.asked.map(({ command }) => command)).toMatchObject([
      { channel: "web_chat", event: "say", body: '"text"' }, { channel: "web_chat", event: "", body: '"text"' },
    ]);
  });

  test("a signal reaches the link; errors come with their codes", async () => {
    const { comet, link } = open();
    const stop = new AbortController();
    const sent = comet.send("web_chat", "say", 1, { signal: stop.signal });
    expect(link.last.signal).toBe(stop.signal);
    await link.last.fail(new CometError("aborted", "aborted"));
    expect((await failure(sent)).code).toBe("aborted");
    expect((await failure(comet.send("chat", 1))).code).toBe("channel_refused");
    await expect(comet.send("web_chat", "say", 1n)).rejects.toThrow(TypeError);
  });

  test("S31: `#channel` gets the reports of this page", async () => {
    const { comet, link } = open();
    const seen: Message<SentReport>[] = [];
    comet.on<SentReport>("#web_chat", (message) => seen.push(message));
    void comet.send("web_chat.say", { a: 1 });
    await link.last.answer({ number_messages: 2 });
    const refused = failure(comet.send("web_chat.say", 2));
    await link.last.fail(new CometError("message_too_long", "too long"));
    await refused;
    expect(seen.map(({ channel, event }) => [channel, event])).toEqual([["#web_chat", "answer"], ["#web_chat", "error"]]);
    expect(seen.map(({ data }) => data)).toMatchObject([
      { body: { a: 1 }, event: "say", report: { receivers: 2, repeated: false }, error: undefined },
      { body: 2, event: "say", report: undefined, error: { code: "message_too_long" } },
    ]);
  });
});

describe("asking", () => {
  test("history, count, users, user data, status", async () => {
    const { comet, link } = open();
    const history = comet.history("chat");
    await link.last.answer([incoming({ pipe: "chat", data: 1, history: true })]);
    expect((await history).map(({ data, history: old }) => [data, old])).toEqual([[1, true]]);
    const count = comet.count("web_chat");
    await link.last.answer({ user_in_pipe: 5 });
    const users = comet.users("track_a");
    await link.last.answer([{ user_id: 7, uuid: "u" }]);
    const userData = comet.userData(7);
    await link.last.answer({ user_id: 7, user_data: "text" });
    expect(await Promise.all([count, users, userData])).toEqual([5, [{ userId: 7, uuid: "u" }], "text"]);
    expect(link.asked.map(({ command }) => command)).toEqual([
      { kind: "history", channel: "chat" }, { kind: "count", channel: "web_chat" },
      { kind: "users", channel: "track_a" }, { kind: "userData", user: "7" },
    ]);
  });

  test.each([
    [0, { online: true, secondsAgo: 0 }], [90, { online: false, secondsAgo: 90 }], [-1, { online: false, secondsAgo: undefined }],
  ])("status %j", async (seconds, presence) => {
    const { comet, link } = open();
    const status = comet.status("7");
    await link.last.answer({ data: seconds });
    expect(await status).toEqual(presence);
  });
});

test("listeners get the whole status", () => {
  const { comet, link } = open();
  const seen: Status[] = [];
  comet.onState((status) => seen.push(status));
  link.open();
  expect(seen).toEqual([link.status]);
  expect(comet.connection).toBe(link.status);
});
