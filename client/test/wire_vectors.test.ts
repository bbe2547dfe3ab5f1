// The client's half of the vectors in tests/wire, which the server has to agree with (see the README there).

import { describe, expect, test } from "vitest";
import commands from "../../tests/wire/commands.json" with { type: "json" };
import frames from "../../tests/wire/frames.json" with { type: "json" };
import urls from "../../tests/wire/urls.json" with { type: "json" };
import type { Command } from "../src/types.js";
import { address, encode, isAnswer, objection, parse, readRefused, type Frame, type SessionCommand } from "../src/wire.js";

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
    case "error":
      return { kind: "error", re: frame.re, code: frame.error.code };
    case "fatal":
    case "bad":
      return { kind: frame.kind, code: frame.error.code };
    case "serverInfo":
    case "result":
    case "other":
      return { ...frame };
  }
}

/** A result as the vectors write it down, read as whoever asked for this kind reads it. */
function writtenResult(kind: string, re: number, data: unknown): Record<string, unknown> {
  if (kind === "other") return { kind };
  if (kind === "subscription") return { kind, re, refused: readRefused(data) };
  if (!isAnswer(kind as Command["kind"], data)) throw new Error(`no answer to ${kind}`);
  const { number_messages: receivers, repeated = false, user_in_pipe: users, user_id: user, user_data: text, data: seconds } =
    data as Record<string, unknown>;
  switch (kind) {
    case "send":
      return { kind, re, receivers, repeated };
    case "count":
      return { kind, re, users };
    case "users":
      return { kind, re, visitors: data };
    case "userData":
      return { kind, re, user, data: text };
    case "status":
      return { kind, re, seconds };
    default:
      return { kind, re };
  }
}

describe("frames", () => {
  test.each(frames as readonly FrameVector[])("$name", ({ frame, parsed }) => {
    const { data_json: json, ...rest } = parsed;
    const wanted = typeof json === "string" ? { ...rest, data: JSON.parse(json) as unknown } : rest;
    const read = parse(frame);
    expect(read.kind === "result" ? writtenResult(String(parsed["kind"]), read.re, read.data) : written(read)).toEqual(wanted);
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
    expect(address(node, { ...options, nodes: [node], chosen: false, statistics: false })).toBe(url);
    expect(new URL(url).pathname.endsWith("&api=js")).toBe(true);
  });
});
