// The client's half of the vectors in tests/wire, which the server has to agree with (see the README there).

import { describe, expect, test } from "vitest";
import commands from "../../tests/wire/commands.json" with { type: "json" };
import frames from "../../tests/wire/frames.json" with { type: "json" };
import urls from "../../tests/wire/urls.json" with { type: "json" };
import type { Command } from "../src/types.js";
import { address, encode, objection, parse, type Frame, type SessionCommand } from "../src/wire.js";

interface FrameVector {
  readonly name: string;
  readonly frame: string;
  readonly parsed: Record<string, unknown>;
}

interface CommandVector {
  readonly name: string;
  readonly command: Command | SessionCommand;
  readonly number?: number;
  readonly text: string;
}

/** A frame as the vectors write it down. */
function written(frame: Frame): Record<string, unknown> {
  switch (frame.kind) {
    case "message": {
      const { pipe, event, data, userId, history, fromQueue, uuid, time } = frame.message;
      return { kind: "message", re: frame.re, pipe, event, data, user_id: userId, history, from_queue: fromQueue, uuid, time };
    }
    case "result": {
      const { re, answer } = frame;
      if (answer.kind === "history") return { kind: "history", re };
      if (answer.kind !== "users") return { re, ...answer };
      return { kind: "users", re, visitors: answer.visitors.map(({ userId, uuid }) => ({ user_id: userId, uuid })) };
    }
    case "error":
      return { kind: "error", re: frame.re, code: frame.error.code };
    case "fatal":
    case "bad":
      return { kind: frame.kind, code: frame.error.code };
    case "serverInfo":
    case "subscription":
    case "other":
      return { ...frame };
  }
}

describe("frames", () => {
  test.each(frames as readonly FrameVector[])("$name", ({ frame, parsed }) => {
    const { data_json: json, ...rest } = parsed;
    const wanted = typeof json === "string" ? { ...rest, data: JSON.parse(json) as unknown } : rest;
    expect(written(parse(frame))).toEqual(wanted);
  });
});

describe("commands", () => {
  test.each(commands as readonly CommandVector[])("$name", ({ command, number, text }) => {
    expect(encode(command, number)).toBe(text);
    if ("channel" in command || "user" in command) expect(objection(command as Command)).toBeUndefined();
  });
});

describe("addresses", () => {
  test.each(urls)("$name", ({ node, options, url }) => {
    expect(address(node, { ...options, nodes: [node], statistics: false })).toBe(url);
    expect(new URL(url).pathname.endsWith("&api=js")).toBe(true);
  });
});
