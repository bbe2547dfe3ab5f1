// Requests: one outcome each, in order, once, within limits (protocol-v5.md 3).

import { describe, expect, test } from "vitest";
import { COMMAND_MAX, ENDINGS_MAX, PAUSE, QUESTION_TIMEOUT, REQUESTS_MAX, TEXT_MAX, WINDOW } from "../src/session/requests.js";
import type { Command } from "../src/types.js";
import { bodies, COUNT, Driven, errors, frames, HISTORY, numberOf, outcomes, send, texts } from "./session_support.js";

function asked(driven: Driven, id: number, command: Command) {
  return driven.give({ kind: "request", id, command });
}

describe("sending", () => {
  test("what was sent before the connection leaves in order when it is open", () => {
    const driven = new Driven();
    asked(driven, 1, send("a"));
    driven.start();
    asked(driven, 2, send("b"));
    expect(bodies(driven.open())).toEqual(["a", "b"]);
    expect(bodies(asked(driven, 3, send("c")))).toEqual(["c"]);
  });

  test("the report is the answer (S31, S45)", () => {
    const driven = new Driven();
    driven.open();
    const number = numberOf(asked(driven, 5, send("a")), "web_pipe2");
    const [answer] = driven.frame(frames.report(number, { number_messages: 3, repeated: true }));
    expect(answer).toEqual({ kind: "answer", id: 5, answer: { number_messages: 3, error: "", repeated: true } });
    expect(outcomes(driven.frame(frames.report(number)))).toEqual([]);
  });

  test("what has no report leaves again on the next connection, in order, under the same key, with another number", () => {
    const driven = new Driven();
    driven.open();
    const first = [1, 2, 3].flatMap((id) => asked(driven, id, send(`m${id}`)));
    driven.frame(frames.report(numberOf(first, "web_pipe2") - 1));
    const again = driven.reconnect();
    expect(bodies(again)).toEqual(["m1", "m3"]);
    const keys = (list: string[]) => list.map((text) => text.split("\n")[3]);
    expect(keys(texts(again))).toEqual([keys(texts(first))[0], keys(texts(first))[2]]);
    expect(numberOf(again, "web_pipe2")).toBeGreaterThan(numberOf(first, "web_pipe2"));
  });

  test("a report that was stored badly is an error", () => {
    const driven = new Driven();
    driven.open();
    const number = numberOf(asked(driven, 1, send("a")), "web_pipe2");
    expect(outcomes(driven.frame(frames.report(number, { error: "disk", code: "store_unavailable" })))).toEqual(["1: store_unavailable"]);
  });

  test("sends wait for a connection without limit of time", () => {
    const driven = new Driven();
    driven.start();
    asked(driven, 1, send("a"));
    driven.close();
    for (let hour = 0; hour < 3; hour += 1) {
      driven.pass(3_600_000);
    }
    expect(outcomes(driven.all)).toEqual([]);
    expect(bodies(driven.state === "connecting" ? driven.open() : driven.reconnect())).toEqual(["a"]);
  });

  test(`no more than ${WINDOW} are on their way`, () => {
    const driven = new Driven();
    driven.open();
    const out = Array.from({ length: WINDOW + 2 }, (_, id) => asked(driven, id, send(`m${id}`))).flat();
    expect(bodies(out)).toHaveLength(WINDOW);
    expect(bodies(driven.frame(frames.report(1)))).toEqual([`m${WINDOW}`]);
    expect(bodies(driven.frame(frames.report(3)))).toEqual([`m${WINDOW + 1}`]);
  });

  test("too many commands means later, one at a time and in order", () => {
    const driven = new Driven();
    driven.open();
    for (let id = 1; id <= 4; id += 1) asked(driven, id, send(`m${id}`));
    driven.frame(frames.report(1));
    for (const re of [2, 3, 4]) driven.frame(frames.error("too_many_commands", re));
    expect(bodies(asked(driven, 5, send("m5")))).toEqual([]);
    expect(bodies(driven.pass(PAUSE - 1))).toEqual([]);
    expect(bodies(driven.pass(1))).toEqual(["m2"]);
    expect(bodies(driven.frame(frames.report(5)))).toEqual(["m3"]);
    expect(outcomes(driven.all)).toEqual(["1: answer", "2: answer"]);
  });

  test(`a send on which ${ENDINGS_MAX} connections ended in a row is given up, the one behind it is not`, () => {
    const driven = new Driven();
    driven.open();
    asked(driven, 1, send("poison"));
    asked(driven, 2, send("innocent"));
    for (let ending = 1; ending < ENDINGS_MAX; ending += 1) driven.reconnect();
    expect(outcomes(driven.all)).toEqual([]);
    expect(bodies(driven.reconnect())).toEqual(["innocent"]);
    expect(outcomes(driven.all)).toEqual(["1: timeout"]);
  });

  test("connections that the page itself ended blame nothing", () => {
    const driven = new Driven();
    driven.open();
    asked(driven, 1, send("a"));
    for (let ending = 0; ending < ENDINGS_MAX * 2; ending += 1) {
      driven.start();
      driven.open();
    }
    expect(outcomes(driven.all)).toEqual([]);
  });
});

describe("questions", () => {
  test("a history is complete when its result comes, live copies stay live (S48)", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.message("x", { uuid: "hx" }));
    const number = numberOf(asked(driven, 1, HISTORY), "pipe_log");
    driven.frame(frames.history(number, "x"));
    driven.frame(frames.history(number + 99, "somebody else's"));
    driven.frame(frames.history(number, "y"));
    const [answer] = driven.frame(frames.answer(number, "pipe_log", { messages: 2 }));
    expect(answer).toMatchObject({ kind: "answer", id: 1, answer: [{ data: "x", history: true }, { data: "y" }] });
  });

  test("a history that was cut off is asked for again and has nothing twice", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.history(numberOf(asked(driven, 1, HISTORY), "pipe_log"), "x"));
    const number = numberOf(driven.reconnect(), "pipe_log");
    driven.frame(frames.history(number, "x"));
    const [answer] = driven.frame(frames.answer(number, "pipe_log", { messages: 1 }));
    expect(answer).toMatchObject({ answer: [{ data: "x" }] });
  });

  test("one that was asked without a connection waits for it (protocol.md 9.4)", () => {
    const driven = new Driven();
    asked(driven, 1, COUNT);
    driven.pass(300_000);
    const number = numberOf(driven.open(), "pipe_count");
    expect(outcomes(driven.frame(frames.answer(number, "user_in_pipe", { user_in_pipe: 3 })))).toEqual(["1: answer"]);
  });

  test(`one without answer is given up ${QUESTION_TIMEOUT} ms after it left, which begins anew with each connection`, () => {
    const driven = new Driven();
    driven.open();
    asked(driven, 1, send("a"));
    asked(driven, 2, COUNT);
    driven.pass(9_000);
    driven.reconnect();
    for (let second = 1; second < QUESTION_TIMEOUT / 1_000; second += 1) {
      driven.pass(1_000);
      driven.frame(frames.message("a sign of life"));
    }
    expect(outcomes(driven.all)).toEqual([]);
    expect(outcomes(driven.pass(1_000))).toEqual(["2: timeout"]);
  });

  test("an answer to another question is no answer", () => {
    const driven = new Driven();
    driven.open();
    const number = numberOf(asked(driven, 1, COUNT), "pipe_count");
    expect(outcomes(driven.frame(frames.answer(number, "statistics", {})))).toEqual(["1: bad_frame"]);
  });

  test("an answer that is malformed fails the question and is reported", () => {
    const driven = new Driven();
    driven.open();
    const number = numberOf(asked(driven, 1, COUNT), "pipe_count");
    const effects = driven.frame({ pipe: "_answer_pipe_count", event: "user_in_pipe", re: number, data: { user_in_pipe: "3" } });
    expect(outcomes(effects)).toEqual(["1: bad_frame"]);
    expect(errors(effects)).toEqual(["bad_frame"]);
  });

  test("an error with its number is its answer and nobody else's", () => {
    const driven = new Driven();
    driven.open();
    const number = numberOf(asked(driven, 1, HISTORY), "pipe_log");
    const effects = driven.frame(frames.error("not_authorized", number));
    expect(outcomes(effects)).toEqual(["1: not_authorized"]);
    expect(errors(effects)).toEqual([]);
    expect(errors(driven.frame(frames.error("bad_channel")))).toEqual(["bad_channel"]);
  });
});

describe("limits and taking back", () => {
  test(`${REQUESTS_MAX} requests wait, one more does not`, () => {
    const driven = new Driven();
    for (let id = 1; id <= REQUESTS_MAX; id += 1) asked(driven, id, send(`m${id}`));
    expect(outcomes(driven.all)).toEqual([]);
    expect(outcomes(asked(driven, 0, send("more")))).toEqual(["0: queue_full"]);
    driven.give({ kind: "abort", id: 7 });
    expect(outcomes(asked(driven, 8_000, send("again")))).toEqual([]);
  });

  test(`${TEXT_MAX} characters wait, more do not`, () => {
    const driven = new Driven();
    const body = "x".repeat(COMMAND_MAX - 1_000);
    for (let id = 1; id <= 4; id += 1) expect(outcomes(asked(driven, id, send(body)))).toEqual([]);
    expect(outcomes(asked(driven, 5, send(body)))).toEqual(["5: queue_full"]);
    expect(outcomes(asked(driven, 6, send("small")))).toEqual([]);
  });

  test("a body that would end the connection is refused at once, by bytes and not by characters", () => {
    const driven = new Driven();
    expect(outcomes(asked(driven, 1, send("x".repeat(COMMAND_MAX))))).toEqual(["1: message_too_long"]);
    expect(outcomes(asked(driven, 2, send("€".repeat(COMMAND_MAX / 3))))).toEqual(["2: message_too_long"]);
    expect(outcomes(asked(driven, 3, send("€".repeat(COMMAND_MAX / 3 - 100))))).toEqual([]);
  });

  test("names that would break a command are refused at once", () => {
    const driven = new Driven();
    const base = send("a");
    if (base.kind !== "send") throw new Error("a send");
    asked(driven, 1, { ...base, channel: "web_a\nx" });
    asked(driven, 2, { ...base, event: "a b" });
    asked(driven, 4, { kind: "userData", user: "7\n8" });
    asked(driven, 5, { kind: "count", channel: "" });
    expect(outcomes(driven.all)).toEqual(["1: bad_channel", "2: bad_event", "4: bad_user", "5: bad_channel"]);
  });

  test("one that has not left is not sent after an abort; of one that has left the answer is dropped", () => {
    const driven = new Driven();
    driven.start();
    asked(driven, 1, send("a"));
    asked(driven, 2, send("b"));
    expect(outcomes(driven.give({ kind: "abort", id: 1 }))).toEqual(["1: aborted"]);
    expect(bodies(driven.open())).toEqual(["b"]);
    expect(outcomes(driven.give({ kind: "abort", id: 2 }))).toEqual(["2: aborted"]);
    expect(outcomes(driven.frame(frames.report(1)))).toEqual([]);
    expect(bodies(driven.reconnect())).toEqual([]);
    expect(driven.give({ kind: "abort", id: 2 })).toEqual([]);
  });

  test("stop rejects what waits and what comes later; a new start takes requests again", () => {
    const driven = new Driven();
    driven.open();
    asked(driven, 1, send("a"));
    expect(outcomes(driven.give({ kind: "stop" }))).toEqual(["1: stopped"]);
    expect(outcomes(asked(driven, 2, send("b")))).toEqual(["2: stopped"]);
    driven.start();
    asked(driven, 3, send("c"));
    expect(bodies(driven.open())).toEqual(["c"]);
  });
});
