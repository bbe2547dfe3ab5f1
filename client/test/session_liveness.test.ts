// A dead connection is noticed, a slow server or a slept-through timer is not taken for one.

import { describe, expect, test } from "vitest";
import { PATIENCE, PROBE_TIMEOUT, QUIET, STUCK } from "../src/session/liveness.js";
import { Driven, frames, kinds, numberOf, send, texts } from "./session_support.js";

const PROBE = /^unsubscribe \d+$/;

function isProbe(effects: Parameters<typeof texts>[0]): boolean {
  const all = texts(effects);
  return all.length === 1 && PROBE.test(all[0] ?? "");
}

describe("liveness", () => {
  test("a connection that owes an answer and is silent is asked, then given up", () => {
    const driven = new Driven();
    driven.open();
    driven.give({ kind: "request", id: 1, command: send("a") });
    expect(texts(driven.pass(PATIENCE - 1))).toEqual([]);
    expect(isProbe(driven.pass(1))).toBe(true);
    expect(kinds(driven.pass(PROBE_TIMEOUT - 1))).toEqual([]);
    expect(kinds(driven.pass(1))).toEqual(["close", "status"]);
    expect(driven.session.status).toMatchObject({ state: "waiting", error: { code: "unreachable" } });
  });

  test("one that answers the question is alive, however slow its report is", () => {
    const driven = new Driven();
    driven.open();
    driven.give({ kind: "request", id: 1, command: send("a") });
    for (let turn = 0; turn < 4; turn += 1) {
      const effects = driven.pass(PATIENCE);
      expect(isProbe(effects)).toBe(true);
      expect(kinds(driven.frame(frames.subscription(numberOf(effects, "unsubscribe"))))).toEqual([]);
    }
    expect(driven.state).toBe("open");
  });

  test("an error is an answer to the question too, and nobody hears of it", () => {
    const driven = new Driven();
    driven.open();
    const number = numberOf(driven.pass(QUIET), "unsubscribe");
    expect(driven.frame(frames.error("incomplete", number))).toEqual([]);
    expect(kinds(driven.pass(PROBE_TIMEOUT))).toEqual([]);
  });

  test(`one that speaks but never answers is given up after ${STUCK} ms`, () => {
    const driven = new Driven();
    driven.open();
    driven.give({ kind: "request", id: 1, command: send("a") });
    for (let at = 0; at < STUCK; at += 1_000) {
      expect(driven.state).toBe("open");
      driven.frame(frames.message("chatter"));
      driven.pass(1_000);
    }
    expect(driven.state).toBe("waiting");
  });

  test("a quiet connection is asked once a minute, for nobody else would notice that it is dead", () => {
    const driven = new Driven();
    driven.open();
    expect(texts(driven.pass(QUIET - 1))).toEqual([]);
    const effects = driven.pass(1);
    expect(isProbe(effects)).toBe(true);
    driven.frame(frames.subscription(numberOf(effects, "unsubscribe")));
    expect(texts(driven.pass(QUIET - 1))).toEqual([]);
    expect(isProbe(driven.pass(1))).toBe(true);
    driven.pass(PROBE_TIMEOUT);
    expect(driven.state).toBe("waiting");
  });

  test.each(["online", "offline", "visible"] as const)("news (%s) makes it ask, unless something was just heard", (kind) => {
    const driven = new Driven();
    driven.open();
    driven.pass(1_000);
    expect(texts(driven.give({ kind }))).toEqual([]);
    driven.pass(2_000);
    expect(isProbe(driven.give({ kind }))).toBe(true);
    expect(texts(driven.give({ kind }))).toEqual([]);
    driven.pass(PROBE_TIMEOUT);
    expect(driven.state).not.toBe("open");
  });

  test("after a sleep it asks before it judges: a connection that survived is kept", () => {
    const driven = new Driven();
    driven.open();
    driven.now += 3_600_000;
    const effects = driven.give({ kind: "timer" });
    expect(isProbe(effects)).toBe(true);
    driven.frame(frames.subscription(numberOf(effects, "unsubscribe")));
    expect(driven.state).toBe("open");
  });

  test("a sleep in the middle of the question makes it ask once more, and only once", () => {
    const driven = new Driven();
    driven.open();
    driven.pass(QUIET);
    driven.now += 300_000;
    expect(isProbe(driven.give({ kind: "timer" }))).toBe(true);
    driven.now += 300_000;
    driven.give({ kind: "timer" });
    expect(driven.state).toBe("waiting");
  });

  test("a timer that fires too often or without need does nothing", () => {
    const driven = new Driven();
    driven.open();
    for (let times = 0; times < 10; times += 1) expect(driven.give({ kind: "timer" })).toEqual([]);
  });
});
