// What both faces share: one link, the page's handlers on it, sending with its report, and what was seen already.
//
// Promises: the link is told exactly the channels the present handlers need, before any command that follows them; a
// message sent several times on purpose (`_cometApi_uuid`) reaches handlers once; nothing here throws.
// Knows nothing of frames and sockets (link) nor of what handlers look like to a page (faces).

import { IDLE, type Answers, type Command, type Incoming, type Link, type LinkHandler, type Status } from "./types.js";
import type { CometError } from "./errors.js";
import { attempt } from "./attempt.js";
import type { Env } from "./env.js";
import { Handlers, parseNames, type Names } from "./handlers.js";

/** How long copies of one message are recognised, and how many messages at most (protocol.md 2.7). */
export const COPIES_MS = 180_000;
export const COPIES_MAX = 4096;

export type SendCommand = Extract<Command, { kind: "send" }>;

/** A message on its way to handlers; the pseudo-channels of protocol.md 2.5.2 come in the same shape. */
export interface Delivery extends Incoming {
  readonly marker: string | undefined;
}

/** What a face wants to know, and how its handlers see a message. */
export interface Face<A> {
  argument(message: Delivery): A;
  status(now: Status, before: Status): void;
  error(error: CometError): void;
  /** What became of a message this page sent; `error` undefined: accepted. */
  report(command: SendCommand, answer: Answers["send"] | undefined, error: CometError | undefined): void;
}

/** A message that did not come from the server. */
export function local(pipe: string, event: string, data: unknown, marker?: string): Delivery {
  return { pipe, event, data, marker, userId: 0, history: false, fromQueue: false, uuid: undefined, time: 0 };
}

/** `data` as the body of a message; undefined if it has no JSON. */
export function toBody(data: unknown): string | undefined {
  return attempt(() => JSON.stringify(data === undefined ? null : data) as string | undefined);
}

/** Only these channels may be written from a page (S42, S43); `@` hides the sender (S47). What is malformed the link refuses. */
const WRITABLE = /^(@(?!webauth))?(web(?:auth)?_.*)$/s;
const WITH_EVENT = /^(@(?!webauth))?(web(?:auth)?_[^.]*)\.?(.*)$/s;

/** What copies of one message have in common (protocol.md 9.4). */
function copyOf(data: unknown): string | undefined {
  const copy = (data as { _cometApi_uuid?: unknown } | null)?._cometApi_uuid;
  return typeof copy === "string" ? copy : undefined;
}

export class Client<A> implements LinkHandler {
  readonly handlers: Handlers<A>;
  readonly link: Link;
  readonly tab: string;
  /** As last told to the face. */
  known: Status = IDLE;
  private told = "";
  private sent = 0;
  private waiting = false;
  /** Key of a copied message -> when it is forgotten; in the order of arrival. */
  private readonly copies = new Map<string, number>();

  constructor(readonly env: Env, private readonly face: Face<A>) {
    this.handlers = new Handlers((error) => env.report(error));
    this.tab = env.random(16);
    this.link = env.createLink(this);
    this.known = this.link.status;
  }

  status(now: Status): void {
    const { known } = this;
    this.known = now;
    this.face.status(now, known);
  }

  error(error: CometError): void {
    this.face.error(error);
  }

  /** undefined: malformed name. */
  subscribe(text: string, handle: (argument: A) => unknown): string | undefined {
    const names = parseNames(text);
    return names && this.add(text, names, handle);
  }

  add(label: string, names: Names, handle: (argument: A) => unknown): string {
    const id = this.handlers.add(label, names, handle);
    this.changed();
    return id;
  }

  unsubscribe(id: string): boolean {
    const known = this.handlers.remove(id);
    this.changed();
    return known;
  }

  clear(): void {
    this.handlers.clear();
    this.changed();
  }

  /** Order: protocol.md 2.7. `answered` is the handler a request waits with, in the place of its marker. */
  dispatch(message: Delivery, answered?: (argument: A) => unknown): Promise<unknown> | undefined {
    const argument = this.face.argument(message);
    const { pipe, event } = message;
    const named = this.handlers.emit([pipe, pipe + "." + event], argument);
    const asked = answered && this.handlers.call(answered, argument);
    const all = this.handlers.emit([""], argument);
    return named || asked || all ? Promise.all([named, asked, all]) : undefined;
  }

  /**
   * The command that sends; without `event` the name carries it: "channel.event". undefined if a page may not write to
   * this channel, or the data has no JSON.
   */
  sendCommand(name: string, event: string | undefined, data: unknown): SendCommand | undefined {
    const [, at, channel, named = ""] = (event === undefined ? WITH_EVENT : WRITABLE).exec(name) ?? [];
    const body = toBody(data);
    if (channel === undefined || body === undefined) return undefined;
    this.sent += 1;
    const sendKey = this.tab + "-" + this.sent;
    return { kind: "send", channel, anonymous: at === "@", event: event ?? named, body, sendKey };
  }

  /** Sends, and tells the face what became of it. */
  send(command: SendCommand, signal?: AbortSignal): Promise<Answers["send"]> {
    const { face } = this;
    const answer = this.request(command, signal);
    answer.then((known) => face.report(command, known, undefined), (error: CometError) => face.report(command, undefined, error));
    return answer;
  }

  /** Without further copies of a message; those that came live do not count, history is asked for to see it again. */
  async history(channel: string, signal?: AbortSignal): Promise<Incoming[]> {
    const messages = await this.request({ kind: "history", channel }, signal);
    const seen = new Set<string>();
    return messages.filter(({ data }) => {
      const copy = copyOf(data);
      return copy === undefined || (!seen.has(copy) && seen.add(copy));
    });
  }

  async request<K extends Command["kind"]>(
    command: Extract<Command, { kind: K }>, signal?: AbortSignal,
  ): Promise<Answers[K]> {
    this.flush();
    return (await this.link.request(command, signal)) as Answers[K];
  }

  receive(message: Incoming): Promise<unknown> | undefined {
    const copy = copyOf(message.data);
    if (copy !== undefined && this.isKnownCopy(message.pipe + " " + copy)) return undefined;
    return this.dispatch({ ...message, marker: undefined });
  }

  private isKnownCopy(key: string): boolean {
    const now = this.env.now();
    for (const [old, end] of this.copies) {
      if (end > now && this.copies.size < COPIES_MAX) break;
      this.copies.delete(old);
    }
    if (this.copies.has(key)) return true;
    this.copies.set(key, now + COPIES_MS);
    return false;
  }

  /** One declaration for all that changes in one turn of the event loop. */
  private changed(): void {
    if (this.waiting) return;
    this.waiting = true;
    queueMicrotask(() => this.flush());
  }

  private flush(): void {
    if (!this.waiting) return;
    this.waiting = false;
    const names = this.handlers.channels();
    const text = [...names].sort().join();
    if (text === this.told) return;
    this.told = text;
    this.link.channels(names);
  }
}
