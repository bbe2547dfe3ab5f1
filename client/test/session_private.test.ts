// Messages with an id reach the page once; private ones are acknowledged when the page has handled them
// (protocol-v5.md 2 and 4, protocol.md 5.1).

import { describe, expect, test } from "vitest";
import { Seen } from "../src/session/inbox.js";
import { delivered, Driven, frames, kinds, texts } from "./session_support.js";

/** The page has finished with a message. */
function handled(driven: Driven, uuid: string) {
  driven.seen.done(uuid);
  return driven.give({ kind: "handled" });
}

describe("private messages (Q31, S12)", () => {
  test("are acknowledged after the page handled them, not before", () => {
    const driven = new Driven();
    driven.open();
    expect(kinds(driven.frame(frames.private("u1")))).toEqual(["deliver"]);
    expect(texts(driven.flush())).toEqual([]);
    expect(handled(driven, "u1")).toEqual([{ kind: "soon" }]);
    expect(texts(driven.flush())).toEqual(["ack\nu1"]);
    expect(texts(driven.flush())).toEqual([]);
  });

  test("one acknowledgement covers all that are done, in the order of arrival", () => {
    const driven = new Driven();
    driven.open();
    for (const uuid of ["u1", "u2", "u3", "u4"]) driven.frame(frames.private(uuid));
    expect(handled(driven, "u2")).toEqual([]);
    handled(driven, "u1");
    handled(driven, "u4");
    expect(texts(driven.flush())).toEqual(["ack\nu2"]);
    handled(driven, "u3");
    expect(texts(driven.flush())).toEqual(["ack\nu4"]);
  });

  test("one that comes again while it is being handled is not delivered twice, and acknowledged on the connection that is there", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.private("u1"));
    driven.reconnect();
    expect(driven.frame(frames.private("u1", { fromQueue: true }))).toEqual([]);
    handled(driven, "u1");
    expect(texts(driven.flush())).toEqual(["ack\nu1"]);
  });

  test("one that comes again after it was handled is acknowledged again at once", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.private("u1"));
    handled(driven, "u1");
    driven.flush();
    driven.reconnect();
    expect(driven.frame(frames.private("u1"))).toEqual([{ kind: "soon" }]);
    expect(texts(driven.flush())).toEqual(["ack\nu1"]);
  });

  test("nothing of a lost connection is acknowledged on the next one", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.private("u1"));
    driven.reconnect();
    handled(driven, "u1");
    expect(texts(driven.flush())).toEqual([]);
  });

  test("what was handled is acknowledged before the page leaves (S11)", () => {
    for (const kind of ["stop", "start"] as const) {
      const driven = new Driven();
      driven.open();
      for (const uuid of ["u1", "u2"]) driven.frame(frames.private(uuid));
      handled(driven, "u1");
      const effects = driven.give(kind === "stop" ? { kind } : { kind, url: "ws://other", statistics: false, online: true });
      expect(texts(effects)).toEqual(["ack\nu1"]);
      expect(kinds(effects).slice(0, 2)).toEqual(["send", "close"]);
    }
  });

  test("they tell whether they waited in the queue (S14)", () => {
    const driven = new Driven();
    driven.open();
    const [live] = driven.frame(frames.private("u1"));
    const [queued] = driven.frame(frames.private("u2", { fromQueue: true }));
    expect(live).toMatchObject({ message: { fromQueue: false, history: false, uuid: "u1", time: 1_700_000_000 } });
    expect(queued).toMatchObject({ message: { fromQueue: true, history: false } });
  });
});

describe("channel messages", () => {
  test("with an id come once, without one as often as they are sent", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.message("a", { uuid: "m1" }));
    driven.reconnect();
    driven.frame(frames.message("a", { uuid: "m1" }));
    driven.frame(frames.message("b"));
    driven.frame(frames.message("b"));
    expect(delivered(driven.all)).toEqual(["a", "b", "b"]);
  });

  test("owe no acknowledgement", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.message("a", { uuid: "m1" }));
    expect(texts(driven.flush())).toEqual([]);
  });
});

describe("the memory of ids", () => {
  test("keeps the last 65536 and no more", () => {
    const seen = new Seen();
    for (let id = 0; id < 70_000; id += 1) seen.add(`flood ${id}`);
    expect(seen.add("flood 4463")).toBe(true);
    expect(seen.add("flood 4500")).toBe(false);
  });

  test("what was forgotten blocks no acknowledgement", () => {
    const driven = new Driven();
    driven.open();
    driven.frame(frames.private("old"));
    driven.frame(frames.private("new"));
    driven.pass(5_000);
    for (let id = 0; id < 70_000; id += 1) driven.seen.add(`flood ${id}`);
    handled(driven, "new");
    expect(texts(driven.flush())).toEqual(["ack\nnew"]);
  });
});
