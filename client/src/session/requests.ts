// What pages asked for and has no outcome yet, across all connections.
//
// Promises every request exactly one outcome; that sends leave in the order in which they were given, survive the
// connection and are repeated under the same send key (protocol-v5.md 3); and that nothing here grows without limit.
// Must never know how a connection comes about.

import { CometError } from "../errors.js";
import type { Answer, Command, Incoming } from "../types.js";
import { encode, isAnswer, objection } from "../wire.js";

/** Requests without outcome at one time. */
export const REQUESTS_MAX = 1_000;
/** Characters of their texts. */
export const TEXT_MAX = 4 * 1_048_576;
/** Bytes of one command: what a server takes in one frame (`ws.max_message_size`), or it would end the connection. */
export const COMMAND_MAX = 1_048_576;
/** Requests on their way at one time. */
export const WINDOW = 32;
/** A question waits so long for its answer once it has left, milliseconds. A send waits for ever. */
export const QUESTION_TIMEOUT = 30_000;
/** After "too many commands" nothing leaves for so long, milliseconds. */
export const PAUSE = 1_000;
/** A send at the head of the queue that so many connections in a row ended on is given up: it may be what ends them. */
export const ENDINGS_MAX = 8;
/** Messages of one history; a server that sends more talks nonsense. */
const HISTORY_MAX = 1_000;

export type Outcome =
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answer }
  | { readonly kind: "fail"; readonly id: number; readonly error: CometError };

interface Request {
  readonly id: number;
  readonly command: Command;
  readonly size: number;
  /** 0: not on its way. */
  number: number;
  sentAt: number;
  /** Connections in a row that ended while it was the first without outcome. */
  endings: number;
  history: Incoming[];
}

export class Requests {
  /** In the order in which they were given. */
  private readonly all = new Map<number, Request>();
  /** On their way, in the order of leaving. */
  private readonly sent = new Map<number, Request>();
  private text = 0;
  private window = WINDOW;
  private pausedUntil = 0;

  /** The result says why it cannot be taken. */
  add(id: number, command: Command): CometError | undefined {
    const text = encode(command);
    const size = text.length;
    if (this.all.size >= REQUESTS_MAX || this.text + size > TEXT_MAX) return new CometError("queue_full", "too much waits for the server");
    const wrong = objection(command);
    if (wrong) return wrong;
    if (new TextEncoder().encode(text).length > COMMAND_MAX - 32) return new CometError("message_too_long", "no server takes so much at once");
    this.all.set(id, { id, command, size, number: 0, sentAt: 0, endings: 0, history: [] });
    this.text += size;
    return undefined;
  }

  /** Takes it back. One that has left is not recalled, but its answer will mean nothing. */
  remove(id: number, error: CometError): Outcome[] {
    const request = this.all.get(id);
    if (!request) return [];
    this.forget(request);
    return [{ kind: "fail", id, error }];
  }

  /** Takes back everything. */
  clear(error: CometError): Outcome[] {
    return [...this.all.keys()].flatMap((id) => this.remove(id, error));
  }

  /** True if something may leave now. */
  ready(now: number): boolean {
    return this.sent.size < this.window && this.sent.size < this.all.size && now >= this.pausedUntil;
  }

  /** The texts that may leave now. They count as sent. */
  leave(number: () => number, now: number): string[] {
    const texts: string[] = [];
    for (const request of this.all.values()) {
      if (!this.ready(now)) break;
      if (request.number > 0) continue;
      request.number = number();
      request.sentAt = now;
      this.sent.set(request.number, request);
      texts.push(encode(request.command, request.number));
    }
    return texts;
  }

  /** A message of a history. */
  message(re: number, message: Incoming): void {
    const request = this.sent.get(re);
    if (request && request.history.length < HISTORY_MAX) request.history.push(message);
  }

  /** A result. Nothing if nobody waits for it; undefined if it is no answer to what was asked. */
  result(re: number, data: unknown): Outcome[] | undefined {
    const request = this.sent.get(re);
    if (!request) return [];
    const { id, history, command } = request;
    if (!isAnswer(command.kind, data)) return undefined;
    this.forget(request);
    return [{ kind: "answer", id, answer: command.kind === "history" ? history : data }];
  }

  /** An error as result. Too many commands only means: later. One at a time then, so that the order is kept. */
  error(re: number, error: CometError, now: number): Outcome[] {
    const request = this.sent.get(re);
    if (!request) return [];
    if (error.code !== "too_many_commands") return this.remove(request.id, error);
    this.recall(request);
    this.pausedUntil = now + PAUSE;
    this.window = 1;
    return [];
  }

  /** The connection ended: what was on its way leaves again on the next one. `suspicious`: it may be why. */
  ended(suspicious: boolean): Outcome[] {
    const [head] = this.sent.values();
    for (const request of [...this.sent.values()]) this.recall(request);
    this.window = WINDOW;
    this.pausedUntil = 0;
    if (!head || !suspicious || (head.endings += 1) < ENDINGS_MAX) return [];
    return this.remove(head.id, new CometError("timeout", `${ENDINGS_MAX} connections ended before the outcome was known`));
  }

  /** Gives up the questions whose time is over. */
  expire(now: number): Outcome[] {
    const over = this.questions().filter(({ sentAt }) => sentAt + QUESTION_TIMEOUT <= now);
    return over.flatMap(({ id }) => this.remove(id, new CometError("timeout", "no answer in time")));
  }

  /** When the one that has been on its way longest left. */
  oldest(): number | undefined {
    const [first] = this.sent.values();
    return first?.sentAt;
  }

  /** When `expire` or `leave` has something to do without anything happening; Infinity: never. */
  dueAt(): number {
    const pause = this.pausedUntil > 0 && this.sent.size < Math.min(this.window, this.all.size) ? this.pausedUntil : Infinity;
    return Math.min(pause, ...this.questions().map(({ sentAt }) => sentAt + QUESTION_TIMEOUT));
  }

  private questions(): Request[] {
    return [...this.sent.values()].filter(({ command }) => command.kind !== "send");
  }

  private forget(request: Request): void {
    this.recall(request);
    this.all.delete(request.id);
    this.text -= request.size;
  }

  private recall(request: Request): void {
    this.sent.delete(request.number);
    request.number = 0;
    request.history = [];
  }
}
