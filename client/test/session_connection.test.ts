// How a connection begins, ends and comes back, and what a server can do to it.

import { describe, expect, test } from "vitest";
import { BASE, CAP, FLOOR, LASTING, SOON, SPREAD } from "../src/reconnect.js";
import { BAD_FRAMES_MAX, HANDSHAKE_TIMEOUT, STATISTICS_DELAY } from "../src/session.js";
import { Driven, delivered, errors, frames, kinds, seeded, send, texts } from "./session_support.js";

/** Milliseconds from now to the next attempt. */
function wait(driven: Driven): number {
  return driven.session.dueAt() - driven.now;
}

describe("beginning", () => {
  test("nothing happens before start; start opens at once", () => {
    const driven = new Driven();
    expect(driven.state).toBe("idle");
    expect(driven.session.dueAt()).toBe(Infinity);
    expect(driven.start()).toContainEqual({ kind: "open", socket: 1, url: "ws://node/ws/" });
    expect(driven.state).toBe("connecting");
  });

  test("it is open with the serverInfo, which says who we are (S16, S17)", () => {
    const driven = new Driven();
    expect(kinds(driven.open({ authorized: false, data: "key", server: "comet-server 9" }))).toEqual(["status"]);
    expect(driven.session.status).toEqual({ state: "open", authorized: false, realKey: "key", server: "comet-server 9", error: undefined });
    expect(kinds(driven.frame(frames.serverInfo()))).toEqual(["status"]);
    expect(driven.session.status.authorized).toBe(true);
  });

  test(`a handshake of ${HANDSHAKE_TIMEOUT} ms is cut`, () => {
    const driven = new Driven();
    driven.start();
    expect(kinds(driven.pass(HANDSHAKE_TIMEOUT - 1))).toEqual([]);
    expect(kinds(driven.pass(1))).toEqual(["close", "status"]);
    expect(driven.session.status).toMatchObject({ state: "waiting", error: { code: "unreachable" } });
  });

  test("a start in place of a connection closes that one and ignores what it still says", () => {
    const driven = new Driven();
    driven.open();
    expect(kinds(driven.start())).toEqual(["close", "status", "open"]);
    expect(driven.give({ kind: "frame", socket: 1, data: JSON.stringify(frames.serverInfo()) })).toEqual([]);
    expect(driven.give({ kind: "closed", socket: 1 })).toEqual([]);
    expect(driven.state).toBe("connecting");
  });

  test("statistics are sent once, a while after the first connection, with nothing private", () => {
    const driven = new Driven();
    driven.start(true);
    driven.open();
    expect(texts(driven.pass(STATISTICS_DELAY - 1))).toEqual([]);
    expect(texts(driven.pass(1))).toEqual(['statistics\n{"version":"5.0"}']);
    driven.reconnect();
    driven.start(true);
    driven.open();
    expect(texts(driven.pass(STATISTICS_DELAY + 1))).toEqual([]);
    const quiet = new Driven();
    quiet.open();
    expect(texts(quiet.pass(STATISTICS_DELAY + 1))).toEqual([]);
  });
});

describe("coming back (S67)", () => {
  test("after failures the waits double up to the cap", () => {
    const driven = new Driven(() => 0.999_999);
    driven.start();
    const waits = Array.from({ length: 9 }, () => {
      driven.close();
      const waited = Math.ceil(wait(driven));
      driven.pass(waited);
      return waited;
    });
    expect(waits).toEqual([BASE, 600, 1_200, 2_400, 4_800, 9_600, 19_200, CAP, CAP]);
  });

  test("a connection that did not last resets nothing", () => {
    const driven = new Driven(() => 0.999_999);
    driven.open();
    for (let ending = 0; ending < 4; ending += 1) {
      driven.pass(LASTING - 1);
      driven.reconnect();
    }
    driven.pass(LASTING - 1);
    driven.close();
    expect(Math.ceil(wait(driven))).toBe(BASE * 16);
  });

  test("a lasting one comes back spread over a while, however often it failed before", () => {
    const driven = new Driven(seeded(7));
    driven.open();
    for (let ending = 0; ending < 6; ending += 1) driven.reconnect();
    const waits = Array.from({ length: 200 }, () => {
      driven.pass(LASTING);
      driven.close();
      const waited = wait(driven);
      driven.pass(waited);
      driven.frame(frames.serverInfo());
      return waited;
    });
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(FLOOR);
    expect(Math.max(...waits)).toBeLessThan(SPREAD);
    expect(Math.max(...waits)).toBeGreaterThan(SPREAD * 0.9);
  });

  test("online comes back at once, but never hotly", () => {
    const driven = new Driven();
    driven.start();
    for (let failure = 0; failure < 9; failure += 1) {
      driven.close();
      driven.pass(wait(driven));
    }
    driven.close();
    driven.give({ kind: "online" });
    expect(wait(driven)).toBeLessThanOrEqual(SOON);
    driven.pass(wait(driven));
    driven.close();
    expect(wait(driven)).toBe(BASE / 2);
    const before = driven.opened.length;
    for (let at = 0; at < 10_000; at += 1) {
      driven.give({ kind: "online" });
      driven.pass(1);
      if (driven.state === "connecting") driven.close();
    }
    expect(driven.opened.length - before).toBeLessThanOrEqual(10_000 / FLOOR);
  });

  test("offline waits for online and still tries seldom, for the browser may be wrong", () => {
    const driven = new Driven();
    driven.open();
    driven.give({ kind: "offline" });
    expect(driven.state).toBe("open");
    driven.close();
    expect(driven.state).toBe("offline");
    expect(wait(driven)).toBeGreaterThanOrEqual(CAP);
    driven.pass(wait(driven));
    expect(driven.state).toBe("connecting");
    driven.close();
    expect(kinds(driven.give({ kind: "online" }))).toEqual(["status"]);
    expect(driven.state).toBe("waiting");
    expect(wait(driven)).toBeLessThanOrEqual(SOON);
  });

  test("a start without network tries at once", () => {
    const driven = new Driven();
    driven.give({ kind: "start", url: "ws://127.0.0.1", statistics: false, online: false });
    expect(driven.state).toBe("connecting");
    driven.close();
    expect(driven.state).toBe("offline");
  });

  test("a page that becomes visible brings the attempt forward and forgets no failure", () => {
    const driven = new Driven(() => 0.999_999);
    driven.start();
    for (let failure = 0; failure < 7; failure += 1) {
      driven.close();
      driven.pass(wait(driven));
    }
    driven.close();
    driven.give({ kind: "visible" });
    expect(wait(driven)).toBeLessThanOrEqual(SOON);
    driven.pass(wait(driven));
    driven.close();
    expect(Math.ceil(wait(driven))).toBe(CAP);
  });

  test("a start begins anew", () => {
    const driven = new Driven();
    driven.start();
    for (let failure = 0; failure < 9; failure += 1) {
      driven.close();
      driven.pass(wait(driven));
    }
    driven.start();
    driven.close();
    expect(wait(driven)).toBe(BASE / 2);
  });

  test("without any WebSocket it says so and leaves it at that, since nothing can change", () => {
    const driven = new Driven();
    driven.start();
    driven.give({ kind: "blocked", socket: 1, code: "no_websocket" });
    expect(driven.session.status).toMatchObject({ state: "refused", error: { code: "no_websocket" } });
    expect(driven.session.dueAt()).toBe(Infinity);
  });

  test("what was known of one user is not said of the next", () => {
    const driven = new Driven();
    driven.open({ data: "key of 7" });
    driven.start();
    expect(driven.session.status).toMatchObject({ authorized: true, realKey: "key of 7" });
    driven.give({ kind: "start", url: "ws://node/ws/another", statistics: false, online: true });
    expect(driven.session.status).toMatchObject({ authorized: undefined, realKey: "" });
  });

  test("a socket that is forbidden is tried like one that fails", () => {
    const driven = new Driven();
    driven.start();
    driven.give({ kind: "blocked", socket: 1, code: "unreachable" });
    expect(driven.session.status).toMatchObject({ state: "waiting", error: { code: "unreachable" } });
    expect(wait(driven)).toBe(BASE / 2);
  });

  test("stop closes and nothing comes back; no event brings it back but start", () => {
    const driven = new Driven();
    driven.open();
    expect(kinds(driven.give({ kind: "stop" }))).toEqual(["close", "status"]);
    for (const kind of ["online", "offline", "visible", "timer", "flush", "handled"] as const) driven.give({ kind });
    driven.pass(3_600_000);
    expect(driven.opened).toHaveLength(1);
    expect(driven.state).toBe("stopped");
  });
});

describe("a server that refuses or talks nonsense", () => {
  test.each([[401, "no_credentials"], [406, "no_dev_id"], [418, "bad_version"], [423, "origin_refused"]])("F15 with %i ends it for good, until restart (Q16)", (number, code) => {
    const driven = new Driven();
    driven.start();
    expect(kinds(driven.frame(frames.fatal(number, code)))).toEqual(["close", "status"]);
    expect(driven.session.status).toMatchObject({ state: "refused", error: { code } });
    driven.give({ kind: "closed", socket: 1 });
    driven.give({ kind: "online" });
    driven.pass(3_600_000);
    expect(driven.opened).toHaveLength(1);
    driven.give({ kind: "request", id: 1, command: send("a") });
    driven.start();
    expect(texts(driven.open())).toHaveLength(1);
    expect(driven.session.status.error).toBeUndefined();
  });

  test("one that does not speak version 5 is old", () => {
    for (const protocol of [undefined, 4, "5", 6]) {
      const driven = new Driven();
      driven.open({ protocol });
      expect(driven.session.status).toMatchObject({ state: "refused", error: { code: "old_server" } });
    }
  });

  test("an F14 outside a connection, or a message before the serverInfo, is nonsense", () => {
    const driven = new Driven();
    driven.start();
    expect(errors(driven.frame(frames.error("bad_channel")))).toEqual(["bad_frame"]);
    expect(delivered(driven.frame(frames.message("early")))).toEqual([]);
    expect(driven.state).toBe("connecting");
  });

  test(`${BAD_FRAMES_MAX} bad frames end a connection as a failure, however long it lasted`, () => {
    const driven = new Driven();
    driven.open();
    driven.pass(LASTING * 2);
    for (let frame = 1; frame < BAD_FRAMES_MAX; frame += 1) expect(errors(driven.frame(`nonsense ${frame}`))).toEqual(["bad_frame"]);
    expect(driven.state).toBe("open");
    driven.frame("the last one");
    expect(driven.session.status).toMatchObject({ state: "waiting", error: { code: "bad_frame" } });
    expect(wait(driven)).toBe(BASE / 2);
  });

  test("a server that only talks nonsense is not asked hotly", () => {
    const driven = new Driven(seeded(3));
    driven.start();
    while (driven.now < 3_600_000) {
      for (let frame = 0; frame < BAD_FRAMES_MAX; frame += 1) driven.frame("nonsense");
      driven.pass(Math.max(1, wait(driven)));
    }
    // An hour of waits of 15 s on average.
    expect(driven.opened.length).toBeLessThan(400);
  });

  test("good frames in between are taken as ever", () => {
    const driven = new Driven();
    driven.open();
    driven.frame("nonsense");
    expect(delivered(driven.frame(frames.message("good")))).toEqual(["good"]);
  });
});
