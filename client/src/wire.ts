// Version 5 of the browser protocol as text (docs/protocol.md 2, docs/protocol-v5.md): commands out, frames in.
//
// Promises exact encoding, that every text from a server becomes a typed frame or a named failure, and that nothing
// throws. Must never know of connections, queues or handlers. `tests/wire/*.json` holds it and the server together.

import { attempt } from "./attempt.js";
import { CometError, type ErrorCode } from "./errors.js";
import type { Answer, Command, Incoming, LinkOptions } from "./types.js";

/** Commands of the session itself, beside those that pages ask for. */
export type SessionCommand = ChannelCommand | { readonly kind: "ack"; readonly uuid: string };

/** What a server is told about channels: all of them, more, fewer. */
export interface ChannelCommand {
  readonly kind: "subscription" | "subscribe" | "unsubscribe";
  readonly names: readonly string[];
}

/** A channel the server refused; an empty name stands for all others with this code. */
export interface Refused {
  readonly name: string;
  readonly code: ErrorCode;
}

/** What the server said, by what the client does with it. */
export type Frame =
  /** F1. `protocol` is 0 if the server did not say. */
  | { readonly kind: "serverInfo"; readonly protocol: number; readonly server: string; readonly authorized: boolean; readonly key: string }
  /** F2 to F8; F6 has `re`. */
  | { readonly kind: "message"; readonly message: Incoming; readonly re: number | undefined }
  /** F9 to F13 and the results that only version 5 has; the messages of a history came before. What `data` must be only its asker knows. */
  | { readonly kind: "result"; readonly re: number; readonly data: unknown }
  /** F14, or F9 with an error. */
  | { readonly kind: "error"; readonly re: number | undefined; readonly error: CometError }
  /** F15. */
  | { readonly kind: "fatal"; readonly error: CometError }
  /** Well-formed, and nothing this client waits for. */
  | { readonly kind: "other" }
  /** Nothing of the protocol. With `re`: it was meant to be a result. */
  | { readonly kind: "bad"; readonly re: number | undefined; readonly error: CometError };

/** True if the text may name a channel (protocol.md 1). */
export function isChannel(name: string): boolean {
  return /^[\w-]{2,64}$/.test(name);
}

/** What makes a command impossible to write down, if anything does. The server checks the rest. */
export function objection(command: Command): CometError | undefined {
  if ("channel" in command && !isChannel(command.channel)) return new CometError("bad_channel", "the channel is malformed");
  if ("user" in command && !/^\d{1,10}$/.test(command.user)) return new CometError("bad_user", "the user id is malformed");
  if (command.kind !== "send") return undefined;
  if (!/^[\w-]{0,64}$/.test(command.event)) return new CometError("bad_event", "the event is malformed");
  return undefined;
}

/** The text of a command. `number` comes back as `re`; without it there is no result. */
export function encode(command: Command | SessionCommand, number?: number): string {
  const [word, ...lines] = words(command);
  return [number === undefined ? word : `${word} ${number}`, ...lines].join("\n");
}

function words(command: Command | SessionCommand): string[] {
  switch (command.kind) {
    case "send":
      return ["web_pipe2", (command.anonymous ? "@" : "") + command.channel, command.event, command.sendKey, command.body];
    case "history":
      return ["pipe_log", command.channel, ""];
    case "count":
      return ["pipe_count", command.channel, ""];
    case "users":
      return ["track_pipe_users", command.channel, ""];
    case "userData":
      return ["user_data", "", command.user];
    case "status":
      return ["user_status", command.user];
    case "statistics":
      return ["statistics", command.body];
    case "ack":
      return ["ack", command.uuid];
    case "subscription":
    case "subscribe":
    case "unsubscribe":
      return [command.kind, ...command.names];
  }
}

/** Where to connect (protocol.md 2.2). Lone surrogates become U+FFFD, as in everything a WebSocket sends. */
export function address(node: string, options: LinkOptions): string {
  const text = (value: string) => encodeURIComponent(value.replace(/[\uD800-\uDFFF]/gu, "\uFFFD"));
  return `${node.replace(/\/+$/, "")}/ws/sesion=${text(options.userKey)}&myid=${text(options.userId)}`
    + `&devid=${text(options.devId)}&v=5.0&uuid=${text(options.uuid)}&api=js`;
}

/** Reads one frame. A text with several JSON lines is no frame of version 5, which allows line feeds inside bodies. */
export function parse(text: unknown): Frame {
  const value = typeof text === "string" ? attempt(() => JSON.parse(text) as unknown) : undefined;
  const pipe = get(value, "pipe");
  const event = get(value, "event");
  const data = get(value, "data");
  if (typeof pipe !== "string" || typeof event !== "string" || data === undefined) return bad(new CometError("bad_frame", "the server sent no text with pipe, event and data"));
  const re = int(value, "re");
  if (pipe === "sys") return system(value, event, data, re);
  if (pipe.startsWith("_answer")) return re === undefined ? { kind: "other" } : result(data, re);
  return message(value, pipe, event, data, re);
}

function system(frame: unknown, event: string, data: unknown, re: number | undefined): Frame {
  if (event === "serverInfo") {
    return {
      kind: "serverInfo",
      protocol: int(frame, "protocol") ?? 0,
      server: str(frame, "server"),
      authorized: get(frame, "authorized") === true,
      key: typeof data === "string" ? data : "",
    };
  }
  if (event !== "error") return { kind: "other" };
  const error = new CometError(code(data), str(data, "error"));
  return (int(frame, "error") ?? 0) > 400 ? { kind: "fatal", error } : { kind: "error", re, error };
}

/** A JSON body is its value (S28), any other its exact text (S29); the sender is who the server says (S46). */
function message(frame: unknown, pipe: string, event: string, data: unknown, re: number | undefined): Frame {
  const history = get(frame, "history") === true;
  const uuid = str(frame, "uuid") || undefined;
  // A history nobody asked for, or a private message that cannot be acknowledged.
  if (history !== (re !== undefined) || (pipe === "msg" && (history || !uuid))) {
    return bad(new CometError("bad_frame", "the server sent a message out of place"));
  }
  const fromQueue = pipe === "msg" && get(frame, "fromQueue") === true;
  const userId = int(frame, "user_id") ?? 0;
  const time = int(frame, "message_send_time") ?? 0;
  return { kind: "message", re, message: { pipe, event, data, userId, history, fromQueue, uuid, time } };
}

/** F9 says in its data that it failed. */
function result(data: unknown, re: number): Frame {
  const error = str(data, "error");
  return error === "" ? { kind: "result", re, data } : { kind: "error", re, error: new CometError(code(data), error) };
}

/** The number without which an answer is none. Quoted names are not shortened (build_names.mjs). */
const NUMBERS = {
  "send": "number_messages", "count": "user_in_pipe", "userData": "user_id", "users": "user_id", "status": "data",
} as const;

/** True if the data of a result answers that kind of command. A history is answered by what came before. */
export function isAnswer(kind: Command["kind"], data: unknown): data is Answer {
  if (kind === "history" || kind === "statistics") return !!data && typeof data === "object";
  const isWhole = (one: unknown) => int(one, NUMBERS[kind]) !== undefined;
  return kind === "users" ? Array.isArray(data) && data.every(isWhole) : isWhole(data);
}

/** The channels a result of `subscription`, `subscribe` or `unsubscribe` names; undefined: it is none. */
export function readRefused(data: unknown): Refused[] | undefined {
  const refused = get(data, "refused");
  return Array.isArray(refused) ? refused.map((one) => ({ name: str(one, "name"), code: code(one) })) : undefined;
}

function bad(error: CometError, re?: number): Frame {
  return { kind: "bad", re, error };
}

/** An own property: what a prototype has does not count. */
function get(value: unknown, key: string): unknown {
  return Object.prototype.hasOwnProperty.call(value ?? {}, key) ? (value as Record<string, unknown>)[key] : undefined;
}

function str(value: unknown, key: string): string {
  const found = get(value, key);
  return typeof found === "string" ? found : "";
}

function int(value: unknown, key: string): number | undefined {
  const found = get(value, key);
  return Number.isSafeInteger(found) ? (found as number) : undefined;
}

/** A newer server may have codes of its own; a page takes them like any other it does not act on. */
function code(data: unknown): ErrorCode {
  const found = str(data, "code");
  return /^[a-z_]{1,40}$/.test(found) ? (found as ErrorCode) : "bad_frame";
}
