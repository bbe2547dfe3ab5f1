// What the server is told about channels (protocol.md 2.6.1, protocol-v5.md 1).

import { describe, expect, test } from "vitest";
import { Driven, errors, frames, HISTORY, numberOf, texts } from "./session_support.js";

function want(driven: Driven, ...names: string[]) {
  return driven.give({ kind: "channels", names });
}

describe("channels", () => {
  test("the complete set follows the serverInfo, on every connection (S67)", () => {
    const driven = new Driven();
    expect(want(driven, "web_a", "web_b", "web_a")).toEqual([]);
    expect(texts(driven.open())).toEqual(["subscription 1\nweb_a\nweb_b"]);
    expect(texts(driven.reconnect())).toEqual(["subscription 2\nweb_a\nweb_b"]);
  });

  test("nothing is said about an empty set", () => {
    const driven = new Driven();
    want(driven);
    expect(texts(driven.open())).toEqual([]);
  });

  test("changes are told together, as differences (it shrinks when handlers go)", () => {
    const driven = new Driven();
    want(driven, "web_a", "web_b");
    driven.open();
    expect(want(driven, "web_b", "web_c")).toEqual([{ kind: "soon" }]);
    expect(want(driven, "web_b", "web_c", "web_d")).toEqual([]);
    expect(texts(driven.flush())).toEqual(["unsubscribe 2\nweb_a", "subscribe 3\nweb_c\nweb_d"]);
    want(driven);
    expect(texts(driven.flush())).toEqual(["unsubscribe 4\nweb_b\nweb_c\nweb_d"]);
  });

  test("back and forth is nothing", () => {
    const driven = new Driven();
    want(driven, "web_a");
    driven.open();
    want(driven);
    want(driven, "web_a");
    expect(texts(driven.flush())).toEqual([]);
  });

  test("who asks for a history has the channel first, so that nothing falls between", () => {
    const driven = new Driven();
    driven.open();
    want(driven, "web_chat");
    expect(texts(driven.give({ kind: "request", id: 1, command: HISTORY }))).toEqual(["subscription 1\nweb_chat", "pipe_log 2\nweb_chat\n"]);
    expect(texts(driven.flush())).toEqual([]);
  });

  test("refused ones are reported by name, and the next change asks for everything again", () => {
    const driven = new Driven();
    want(driven, "web_a", "private_b");
    const number = numberOf(driven.open(), "subscription");
    const effects = driven.frame(frames.subscription(number, [{ name: "private_b", code: "not_authorized" }, { name: "", code: "too_many_subscriptions" }]));
    expect(errors(effects)).toEqual(["not_authorized", "too_many_subscriptions"]);
    expect(effects[0]).toMatchObject({ error: { message: expect.stringContaining("private_b") as string } });
    want(driven, "web_a", "private_b", "web_c");
    expect(texts(driven.flush())).toEqual(["subscription 2\nweb_a\nprivate_b\nweb_c"]);
  });

  test("a result that nobody asked for says nothing", () => {
    const driven = new Driven();
    driven.open();
    expect(driven.frame(frames.subscription(77, [{ name: "web_a", code: "bad_channel" }]))).toEqual([]);
  });

  test("names that are none are reported and never sent", () => {
    const driven = new Driven();
    driven.open();
    expect(errors(want(driven, "web_a.ev", "x", "web_\n", "web_a"))).toEqual(["bad_channel", "bad_channel", "bad_channel"]);
    expect(texts(driven.flush())).toEqual(["subscription 1\nweb_a"]);
  });

  test("too many commands means later; another error is reported", () => {
    const driven = new Driven();
    want(driven, "web_a");
    driven.open();
    expect(errors(driven.frame(frames.error("too_many_commands", 1)))).toEqual([]);
    expect(texts(driven.pass(999))).toEqual([]);
    expect(texts(driven.pass(1))).toEqual(["subscription 2\nweb_a"]);
    expect(errors(driven.frame(frames.error("unknown_command", 2)))).toEqual(["unknown_command"]);
  });

  test("what was refused as too much is taken back as well", () => {
    const driven = new Driven();
    want(driven, "web_a");
    driven.open();
    want(driven, "web_a", "web_b");
    driven.flush();
    driven.frame(frames.error("too_many_commands", 2));
    want(driven);
    expect(texts(driven.pass(1_000))).toEqual(["subscription 3"]);
    expect(texts(driven.pass(10_000))).toEqual([]);
  });

  test("a flush between two connections says nothing", () => {
    const driven = new Driven();
    want(driven, "web_a");
    driven.open();
    want(driven, "web_b");
    driven.close();
    expect(texts(driven.flush())).toEqual([]);
  });
});
