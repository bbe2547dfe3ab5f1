// What tabs of a group say to each other, and how it is recognised.
//
// Promises that `parseMessage` returns only what has the outline of a message of this version, whatever another script of
// the site put on the line. What is inside of its objects is trusted: tabs of one version run the same code, and whoever
// may run scripts on the site needs no forged message. Must never know who is master.

import { CometError, type ErrorCode } from "../errors.js";
import type { Answer, Command, Incoming, Status } from "../types.js";

/** What the build calls the names it shortened; undefined: it shortened none. */
declare const NAMES: string | undefined;

/**
 * Part of the group's name: tabs with another one never meet. Raise the number when a message changes its meaning. Tabs
 * whose builds shortened names differently would not find in a message what the other put there.
 */
export const BUS_VERSION = typeof NAMES === "string" ? `2${NAMES}` : "2";

/** The key does not travel: it is that of the whole group, or there is none (protocol.md 4.4). */
export interface BusStatus extends Omit<Status, "realKey" | "error"> {
  readonly realKey: "*" | "";
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined;
}

/** From a tab to the master. */
export type ToMaster =
  /** The whole truth about a tab: the channels it wants; not awake: frozen, so nobody waits for it. */
  | readonly ["hello", channels: readonly string[], awake: boolean]
  | readonly ["request", id: number, command: Command]
  | readonly ["abort", id: number]
  /** The handlers of this tab are done with the private message of that number. */
  | readonly ["handled", number: number]
  /** `restart` was called. */
  | readonly ["reconnect"];

/** What is said, and its particulars. */
export type BusBody =
  | ToMaster
  // From any tab to all.
  /** Is there a master? Also heard by its sender, who then knows that he has heard everything said before. */
  | readonly ["ping", number: number]
  /** The sender takes the mastership from a master that does not answer. */
  | readonly ["claim"]
  /** The sender was master and is not any more. */
  | readonly ["yield"]
  /** The sender leaves the group, or sleeps. Its place is free. */
  | readonly ["bye"]
  // From the master. `term`: which mastership; a later one is larger.
  /** Said regularly and as answer to `ping`. `at`: the sender's clock, for himself. `roll`: say hello. */
  | readonly ["beat", term: number, at: number, roll: boolean]
  | readonly ["status", term: number, status: BusStatus]
  | readonly ["error", term: number, code: ErrorCode, text: string]
  /** `number` > 0: say `handled`. `key`: known under it if it has no uuid. `except`: the tab that sent it. */
  | readonly ["message", number: number, key: string, except: string, message: Incoming]
  | readonly ["answer", id: number, answer: Answer]
  | readonly ["failed", id: number, code: ErrorCode, text: string];

/** `to`: a tab; empty: all. */
export type BusMessage = readonly [version: string, from: string, to: string, ...body: BusBody];

/** First letters of the types of what belongs to each kind. Quoted names are not shortened. */
const OUTLINES: Readonly<Record<BusBody[0], string>> = {
  "hello": "ob", "request": "no", "abort": "n", "handled": "n", "reconnect": "",
  "ping": "n", "claim": "", "yield": "", "bye": "",
  "beat": "nnb", "status": "no", "error": "nss", "message": "nsso", "answer": "no", "failed": "nss",
};

export function parseMessage(value: unknown): BusMessage | undefined {
  if (!Array.isArray(value) || value[0] !== BUS_VERSION) return undefined;
  const outline = value.map((part) => (part === null ? "-" : typeof part)[0]).join("");
  return outline === "ssss" + OUTLINES[String(value[3]) as BusBody[0]] ? (value as unknown as BusMessage) : undefined;
}

export function toBusStatus({ error, realKey, ...status }: Status): BusStatus {
  return { ...status, realKey: realKey && "*", error: error && { code: error.code, message: error.message } };
}

/** `key`: that of the group. */
export function fromBusStatus({ error, realKey, ...status }: BusStatus, key: string): Status {
  return { ...status, realKey: realKey && key, error: error && new CometError(error.code, error.message) };
}
