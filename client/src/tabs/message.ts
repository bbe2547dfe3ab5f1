// What tabs of a group say to each other, and how it is recognised.
//
// Promises that `parseMessage` returns only what has the shape of a message of this version, whatever another script of
// the site put on the line, and never throws. Must never know who is master.

import { CometError, type ErrorCode } from "../errors.js";
import type { Answer, Command, ConnectionState, Incoming, Status } from "../types.js";

/** Part of the group's name: tabs with another number never meet. Raise it when a message changes its meaning. */
export const BUS_VERSION = 1;

/** `realKey` does not travel: it is the key all tabs of the group have, or empty (protocol.md 4.4). */
export interface BusStatus {
  readonly state: ConnectionState;
  readonly authorized?: boolean | undefined;
  readonly showsKey: boolean;
  readonly server: string;
  readonly error?: BusError | undefined;
}

export interface BusError {
  readonly code: ErrorCode;
  readonly message: string;
}

export type BusBody =
  // From a tab to the master.
  /** The whole truth about a tab: the channels it wants; not awake: frozen, so nobody waits for it. */
  | { readonly kind: "hello"; readonly channels: readonly string[]; readonly awake: boolean }
  | { readonly kind: "request"; readonly id: number; readonly command: Command }
  | { readonly kind: "abort"; readonly id: number }
  /** The handlers of this tab are done with the private message of that number. */
  | { readonly kind: "handled"; readonly number: number }
  /** `restart` was called. */
  | { readonly kind: "reconnect" }
  // From any tab to all.
  /** Is there a master? Also heard by its sender, who then knows that he has heard everything said before. */
  | { readonly kind: "ping"; readonly number: number }
  /** The sender takes the mastership from a master that does not answer. */
  | { readonly kind: "claim" }
  /** The sender was master and is not any more. */
  | { readonly kind: "yield" }
  /** The sender leaves the group, or sleeps. Its place is free. */
  | { readonly kind: "bye" }
  // From the master. `term`: which mastership; a later one is larger.
  /** Said regularly and as answer to `ping`. `at`: the sender's clock, for himself. `roll`: say hello. */
  | { readonly kind: "beat"; readonly term: number; readonly at: number; readonly roll: boolean }
  | { readonly kind: "status"; readonly term: number; readonly status: BusStatus }
  | { readonly kind: "error"; readonly term: number; readonly error: BusError }
  /** `number` > 0: say `handled`. `key`: known under it if it has no uuid. `except`: the tab that sent it. */
  | { readonly kind: "message"; readonly number: number; readonly key: string; readonly except: string; readonly message: Incoming }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answer }
  | { readonly kind: "failed"; readonly id: number; readonly error: BusError };

/** `to`: a tab; empty: all. */
export type BusMessage = BusBody & { readonly from: string; readonly to: string };

export function envelope(from: string, to: string, body: BusBody): object {
  return { comet: BUS_VERSION, from, to, ...body };
}

export function parseMessage(value: unknown): BusMessage | undefined {
  return isEnvelope(value) && isBody(value) ? (value as BusMessage) : undefined;
}

export function toBusError({ code, message }: CometError): BusError {
  return { code, message };
}

export function fromBusError({ code, message }: BusError): CometError {
  return new CometError(code, message);
}

export function toBusStatus({ state, authorized, realKey, server, error }: Status): BusStatus {
  return { state, authorized, showsKey: realKey !== "", server, error: error && toBusError(error) };
}

type Check = (value: unknown) => boolean;

const anything: Check = () => true;
const flag: Check = (value) => typeof value === "boolean";
const text: Check = (value) => typeof value === "string";
const whole: Check = (value) => Number.isSafeInteger(value);
const real: Check = (value) => Number.isFinite(value);
const name: Check = (value) => typeof value === "string" && value.length <= 64;

const optional = (check: Check): Check => (value) => value === undefined || check(value);
const list = (check: Check): Check => (value) => Array.isArray(value) && value.every(check);

function shape(fields: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(fields);
  return (value) =>
    typeof value === "object" && value !== null &&
    checks.every(([key, check]) => check((value as Record<string, unknown>)[key]));
}

/** By `kind`, each with its other fields. */
function union(kinds: Readonly<Record<string, Readonly<Record<string, Check>>>>): Check {
  const checks = new Map(Object.entries(kinds).map(([kind, fields]) => [kind, shape(fields)]));
  return (value) => checks.get((value as { kind?: string } | null)?.kind ?? "")?.(value) ?? false;
}

const isIncoming = shape({
  pipe: text, event: text, data: anything, userId: real, history: flag, fromQueue: flag, uuid: optional(text), time: real,
});

const isCommand = union({
  send: { channel: text, anonymous: flag, event: text, body: text, sendKey: text },
  history: { channel: text },
  count: { channel: text },
  users: { channel: text },
  userData: { user: text },
  status: { user: text },
  statistics: { body: text },
});

const isAnswer = union({
  send: { receivers: real, repeated: flag },
  history: { messages: list(isIncoming) },
  count: { users: real },
  users: { visitors: list(shape({ userId: real, uuid: text })) },
  userData: { user: real, data: text },
  status: { seconds: real },
  statistics: {},
});

const STATES = ["idle", "connecting", "open", "waiting", "offline", "refused", "stopped"];

/** A newer tab may know codes that this one does not; they reach the page as they are. */
const isError = shape({ code: text, message: text });

const isStatus = shape({
  state: (value) => STATES.includes(value as string),
  authorized: optional(flag), showsKey: flag, server: text, error: optional(isError),
});

const isEnvelope = shape({ comet: (value) => value === BUS_VERSION, from: name, to: name });

const isBody = union({
  hello: { channels: list(text), awake: flag },
  request: { id: whole, command: isCommand },
  abort: { id: whole },
  handled: { number: whole },
  reconnect: {},
  ping: { number: whole },
  claim: {},
  yield: {},
  bye: {},
  beat: { term: whole, at: real, roll: flag },
  status: { term: whole, status: isStatus },
  error: { term: whole, error: isError },
  message: { number: whole, key: text, except: text, message: isIncoming },
  answer: { id: whole, answer: isAnswer },
  failed: { id: whole, error: isError },
});
