// Whatever a server sends becomes a typed frame or a named failure, and never an exception.

import { describe, expect, test } from "vitest";
import { isAnswer, isChannel, parse, readRefused } from "../src/wire.js";
import { frames, seeded } from "./session_support.js";

function kind(value: unknown): string {
  return parse(typeof value === "string" ? value : JSON.stringify(value)).kind;
}

describe("nonsense", () => {
  test.each([
    "", " ", "null", "1", "true", '"text"', "[]", "{}", "{", "nonsense", "{}\n{}", "\0", "[".repeat(100_000),
    '{"pipe":"a","event":"b"}', '{"pipe":1,"event":"b","data":1}', '{"pipe":"a","event":null,"data":1}', '{"event":"b","data":1}',
  ])("%j is a bad frame", (text) => {
    expect(parse(text)).toMatchObject({ kind: "bad", error: { code: "bad_frame" } });
  });

  test.each([undefined, null, 1, {}, new ArrayBuffer(3), ["{}"]])("%s is no text", (value) => {
    expect(parse(value).kind).toBe("bad");
  });

  test("several frames in one text are none: a body may contain line feeds", () => {
    const one = JSON.stringify(frames.message("a"));
    expect(kind(`${one}\n${one}`)).toBe("bad");
  });

  test("data without what a question asks for are no answer to it", () => {
    for (const data of [{}, { refused: "all" }, null, "x"]) expect(readRefused(data)).toBe(undefined);
    const answers = [
      ["userData", {}], ["userData", "x"], ["users", {}], ["users", [{ user_id: 1 }, null]], ["users", [{}]], ["count", { user_in_pipe: 1.5 }], ["status", {}],
      ["send", {}], ["send", { number_messages: 1e300 }], ["send", null], ["statistics", "x"], ["statistics", null], ["history", 1], ["history", null],
    ] as const;
    for (const [kind, data] of answers) expect(isAnswer(kind, data), kind).toBe(false);
  });

  test("a private message without id and a history that nobody asked for are bad", () => {
    expect(kind(frames.private(""))).toBe("bad");
    expect(kind({ ...frames.history(1, "x"), re: undefined })).toBe("bad");
    expect(kind({ ...frames.message("x"), re: 4 })).toBe("bad");
    expect(kind({ ...frames.private("u"), history: true, re: 4 })).toBe("bad");
  });

  test("what a newer server may say is no failure", () => {
    expect(kind({ pipe: "sys", event: "weather", data: "fine" })).toBe("other");
    expect(kind({ pipe: "_answer_weather", event: "x", data: 1, re: 3 })).toBe("result");
    expect(kind({ ...frames.report(1), re: undefined })).toBe("other");
    expect(kind({ ...frames.message("a"), mood: { good: true } })).toBe("message");
    expect(parse(JSON.stringify(frames.error("brand_new", 3)))).toMatchObject({ kind: "error", re: 3, error: { code: "brand_new" } });
  });

  test("codes that are none are bad frames", () => {
    for (const code of ["", "<b>", 7, null, "x".repeat(99)]) {
      expect(parse(JSON.stringify(frames.error(code as string, 3)))).toMatchObject({ kind: "error", error: { code: "bad_frame" } });
    }
  });
});

describe("prototypes", () => {
  test("keys that mean something to JavaScript are only data", () => {
    const hostile = '{"__proto__":{"pipe":"sys"},"pipe":"web_a","event":"constructor","data":{"__proto__":{"polluted":true}}}';
    const frame = parse(hostile);
    expect(frame).toMatchObject({ kind: "message", message: { pipe: "web_a", event: "constructor" } });
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(kind('{"__proto__":{"pipe":"a","event":"b","data":1}}')).toBe("bad");
  });

  test("what somebody put on Object.prototype is not in a frame", () => {
    const prototype = Object.prototype as unknown as Record<string, unknown>;
    prototype["pipe"] = "sys";
    prototype["re"] = 1;
    try {
      expect(kind('{"event":"serverInfo","data":""}')).toBe("bad");
      expect(kind(frames.message("a"))).toBe("message");
    } finally {
      delete prototype["pipe"];
      delete prototype["re"];
    }
  });
});

describe("chance", () => {
  const pieces = [
    '"pipe"', '"event"', '"data"', '"re"', '"sys"', '"msg"', '"_answer"', '"_answer_to_web_a"', '"error"', '"serverInfo"', '"refused"', '"history"',
    "{", "}", "[", "]", ":", ",", "1", "-1", "423", "null", "true", '""', '"uuid"', "1e999", '"\\ud800"', "\n", '"subscription"', '"answer"',
  ];

  test("no text of pieces of frames throws", () => {
    const random = seeded(11);
    const seen = new Set<string>();
    for (let round = 0; round < 30_000; round += 1) {
      const length = 1 + Math.floor(random() * 24);
      seen.add(kind(Array.from({ length }, () => pieces[Math.floor(random() * pieces.length)]).join("")));
    }
    expect(seen).toContain("bad");
  });

  test("no good frame with one value replaced throws", () => {
    const random = seeded(12);
    const values = [null, true, 0, -1, 1.5, 1e300, "", "x", "sys", "msg", "_answer", [], {}, [null], { error: 1 }, undefined];
    const good: Record<string, unknown>[] = [
      frames.serverInfo(), frames.report(1), frames.error("bad_user", 1), frames.fatal(423, "origin_refused"), frames.subscription(1, [{ name: "a", code: "b" }]),
      frames.message("a"), frames.private("u"), frames.history(1, "a"), frames.answer(1, "answer", [{ user_id: 1, uuid: "u" }]),
    ];
    const seen = new Set<string>();
    for (let round = 0; round < 30_000; round += 1) {
      const frame = { ...good[Math.floor(random() * good.length)] };
      const keys = Object.keys(frame);
      frame[keys[Math.floor(random() * keys.length)] ?? ""] = values[Math.floor(random() * values.length)];
      seen.add(kind(frame));
    }
    expect([...seen].sort()).toEqual(["bad", "error", "fatal", "message", "other", "result", "serverInfo"]);
  });
});

test("names of channels have 2 to 64 name characters and nothing around them", () => {
  for (const name of ["ab", "web_a-B9", "x".repeat(64)]) expect(isChannel(name)).toBe(true);
  for (const name of ["", "a", "x".repeat(65), "a b", "ab\n", "\nab", "web.a", "wéb"]) expect(isChannel(name)).toBe(false);
});
