// One connection to one server as a pure state machine: events in, effects out.
//
// Promises what protocol-v5.md asks of a page: nothing sent is lost or doubled, private messages are acknowledged when
// the page has handled them, a lost connection comes back without haste. Must never touch a clock, a socket or chance
// itself, and never throw, whatever the server says.

import { CometError } from "./errors.js";
import { Backoff, LASTING } from "./reconnect.js";
import { Channels } from "./session/channels.js";
import { Owed, type Seen } from "./session/inbox.js";
import { Liveness } from "./session/liveness.js";
import { Requests, type Outcome } from "./session/requests.js";
import { IDLE, type Command, type ConnectionState, type Incoming, type Status } from "./types.js";
import { encode, parse, type Frame, type SessionCommand } from "./wire.js";

/** A handshake that takes longer is cut, milliseconds. */
export const HANDSHAKE_TIMEOUT = 10_000;
/** So many frames that are none end a connection. */
export const BAD_FRAMES_MAX = 8;
/** The statistics command comes so long after the first connection, milliseconds (protocol.md 2.6.8). */
export const STATISTICS_DELAY = 5_000;

/** `socket` is the number from the `open` effect; news of sockets that were given up is ignored. */
export type SessionEvent =
  /** Connects, in place of whatever connection there is. */
  | { readonly kind: "start"; readonly url: string; readonly statistics: boolean; readonly online: boolean }
  | { readonly kind: "stop" }
  | { readonly kind: "frame"; readonly socket: number; readonly data: unknown }
  | { readonly kind: "closed"; readonly socket: number }
  /** There is no socket at all. */
  | { readonly kind: "blocked"; readonly socket: number; readonly code: "no_websocket" | "unreachable" }
  /** `dueAt` has come. */
  | { readonly kind: "timer" }
  /** A `soon` effect was carried out. */
  | { readonly kind: "flush" }
  | { readonly kind: "online" | "offline" | "visible" }
  | { readonly kind: "channels"; readonly names: readonly string[] }
  | { readonly kind: "request"; readonly id: number; readonly command: Command }
  | { readonly kind: "abort"; readonly id: number }
  /** The page finished with a private message: something in `Seen` is done now. */
  | { readonly kind: "handled" };

export type Effect =
  | { readonly kind: "open"; readonly socket: number; readonly url: string }
  | { readonly kind: "send"; readonly socket: number; readonly text: string }
  | { readonly kind: "close"; readonly socket: number }
  /** Give a `flush` event as soon as the page's present work is done. */
  | { readonly kind: "soon" }
  /** For the page. A private message wants `Seen.done` and a `handled` event. */
  | { readonly kind: "deliver"; readonly message: Incoming }
  | Outcome
  /** `status` changed, or a serverInfo came. */
  | { readonly kind: "status" }
  | { readonly kind: "error"; readonly error: CometError };

/** What there is to say about one connection. */
export type SessionStatus = Omit<Status, "master">;

export class Session {
  private phase: Exclude<ConnectionState, "offline"> = "idle";
  /** Its number; 0: there is none, or it was given up. */
  private socket = 0;
  /** When a connecting or waiting one loses its patience; when an open one was opened. */
  private at = 0;
  private info: SessionStatus = IDLE;
  private url = "";
  /** "wanted": after the first connection. A number: when it is due; Infinity: it was sent. */
  private statistics: "unwanted" | "wanted" | number = "unwanted";
  private online = true;
  private sockets = 0;
  private numbers = 0;
  private badFrames = 0;
  private flushing = false;
  private now = 0;
  private out: Effect[] = [];
  private readonly backoff: Backoff;
  private readonly liveness = new Liveness();
  private readonly channels = new Channels();
  private readonly requests = new Requests();
  private readonly owed: Owed;

  constructor(random: () => number, private readonly seen: Seen) {
    this.backoff = new Backoff(random);
    this.owed = new Owed(seen);
  }

  get status(): SessionStatus {
    return { ...this.info, state: this.state() };
  }

  /** When a `timer` event is wanted; Infinity: never. */
  dueAt(): number {
    const { phase } = this;
    if (phase === "waiting" || phase === "connecting") return this.at;
    if (phase !== "open") return Infinity;
    const statistics = typeof this.statistics === "number" ? this.statistics : Infinity;
    return Math.min(this.requests.dueAt(), statistics, this.channels.dueAt(), this.liveness.dueAt(this.requests.oldest()));
  }

  /** Takes one event in. The effects are to be carried out in order. */
  handle(event: SessionEvent, now: number): Effect[] {
    this.now = now;
    this.out = [];
    this.take(event);
    this.say();
    return this.out;
  }

  private take(event: SessionEvent): void {
    const { socket } = event as { readonly socket?: number };
    if (socket !== undefined && socket !== this.socket) return;
    switch (event.kind) {
      case "start":
        this.online = event.online;
        return this.start(event.url, event.statistics);
      case "stop":
        return this.end("stopped", undefined);
      case "frame":
        return this.frame(parse(event.data));
      case "closed":
        return this.lost(new CometError("unreachable", "the connection ended"));
      case "blocked":
        return this.blocked(new CometError(event.code, "no socket could be opened"));
      case "timer":
        return this.elapse();
      case "flush":
        this.flushing = false;
        return this.flush();
      case "online":
      case "offline":
      case "visible":
        return this.news(event.kind);
      case "channels":
        this.report(...this.channels.want(event.names));
        return this.soon();
      case "request":
        return this.request(event.id, event.command);
      case "abort":
        return this.emit(...this.requests.remove(event.id, new CometError("aborted", "the caller changed its mind")));
      case "handled":
        return this.owed.due() ? this.soon() : undefined;
    }
  }

  // What the page wants.

  private start(url: string, statistics: boolean): void {
    // Whom the server recognised before is nobody's business now.
    this.info = url === this.url ? { ...this.info, error: undefined } : IDLE;
    this.url = url;
    if (statistics && this.statistics === "unwanted") this.statistics = "wanted";
    this.disconnect(false);
    this.backoff.reset();
    this.connect();
  }

  /** Ends for good. A refused one keeps what waits, for `restart` may bring better credentials. */
  private end(kind: "stopped" | "refused", error: CometError | undefined): void {
    this.disconnect(false);
    if (kind === "stopped") this.emit(...this.requests.clear(new CometError("stopped", "the connection was stopped")));
    this.enter(kind, 0, error);
  }

  private request(id: number, command: Command): void {
    const error = this.phase === "stopped"
      ? new CometError("stopped", "the connection was stopped")
      : this.requests.add(id, command);
    if (error) this.emit({ kind: "fail", id, error });
  }

  // The connection.

  private state(): ConnectionState {
    return this.phase === "waiting" && !this.online ? "offline" : this.phase;
  }

  private emit(...effects: readonly Effect[]): void {
    this.out.push(...effects);
  }

  private enter(phase: Session["phase"], at: number, error: CometError | undefined): void {
    this.phase = phase;
    this.at = at;
    this.info = { ...this.info, error };
    this.emit({ kind: "status" });
  }

  private connect(): void {
    this.sockets += 1;
    this.badFrames = 0;
    this.socket = this.sockets;
    this.enter("connecting", this.now + HANDSHAKE_TIMEOUT, this.info.error);
    this.emit({ kind: "open", socket: this.socket, url: this.url });
  }

  /** The connection, if there is one, is no more. `suspicious`: what was on its way may be why. */
  private disconnect(suspicious: boolean): void {
    if (!this.socket) return;
    // What a page handled right before it is left must not come again after its reload (S11).
    if (!suspicious) this.acknowledge();
    this.emit({ kind: "close", socket: this.socket }, ...this.requests.ended(suspicious));
    this.phase = "idle";
    this.socket = 0;
    this.channels.ended();
    this.owed.clear();
  }

  /** It is no more, and is to come back. */
  private lost(error: CometError, mayHaveLasted = true): void {
    if (mayHaveLasted && this.phase === "open" && this.now - this.at >= LASTING) this.backoff.lasted();
    this.disconnect(true);
    const wait = this.online ? this.backoff.next() : this.backoff.seldom();
    this.enter("waiting", this.now + wait, error);
  }

  /** An environment without WebSocket will not get one. */
  private blocked(error: CometError): void {
    return error.code === "no_websocket" ? this.end("refused", error) : this.lost(error);
  }

  private news(news: "online" | "offline" | "visible"): void {
    const { phase, now } = this;
    const before = this.state();
    if (news !== "visible") this.online = news === "online";
    if (news === "online") this.backoff.reset();
    if (phase === "waiting") {
      this.at = news === "offline" ? now + this.backoff.seldom() : Math.min(this.at, now + this.backoff.soon());
    } else if (phase === "open" && this.liveness.doubt(now)) this.probe();
    if (this.state() !== before) this.emit({ kind: "status" });
  }

  private elapse(): void {
    const { phase, now } = this;
    this.emit(...this.requests.expire(now));
    if (phase === "waiting" && now >= this.at) return this.connect();
    if (phase === "connecting" && now >= this.at) return this.lost(new CometError("unreachable", "the server did not answer"));
    if (phase !== "open") return;
    if (typeof this.statistics === "number" && now >= this.statistics) {
      this.statistics = Infinity;
      this.send(encode({ kind: "statistics", body: '{"version":"5.0"}' }));
    }
    this.tell();
    const verdict = this.liveness.verdict(now, this.requests.oldest());
    if (verdict === "ask") this.probe();
    if (verdict === "dead") this.lost(new CometError("unreachable", "the server fell silent"));
  }

  // What the server says.

  private frame(frame: Frame): void {
    this.liveness.heard(this.now);
    if (frame.kind === "bad") return this.bad(frame.error, frame.re);
    if (frame.kind === "serverInfo") return this.opened(frame);
    if (frame.kind === "fatal") return this.end("refused", frame.error);
    if (this.phase !== "open") return this.bad(new CometError("bad_frame", "the server spoke before its serverInfo"));
    switch (frame.kind) {
      case "message":
        return frame.re === undefined ? this.message(frame.message) : this.requests.message(frame.re, frame.message);
      case "result":
        return this.result(frame.re, frame.data);
      case "error":
        return this.error(frame.error, frame.re);
      case "other":
        return;
    }
  }

  private opened(frame: Extract<Frame, { kind: "serverInfo" }>): void {
    if (frame.protocol !== 5) return this.end("refused", new CometError("old_server", "the server does not speak version 5"));
    this.info = { ...IDLE, authorized: frame.authorized, realKey: frame.key, server: frame.server };
    if (this.phase === "connecting") {
      this.phase = "open";
      this.at = this.now;
      if (this.statistics === "wanted") this.statistics = this.now + STATISTICS_DELAY;
      this.tell();
    }
    this.emit({ kind: "status" });
  }

  private message(message: Incoming): void {
    const { uuid } = message;
    const isNew = uuid === undefined || this.seen.add(uuid);
    if (isNew) this.emit({ kind: "deliver", message });
    if (uuid === undefined) return;
    if (message.pipe !== "msg") return this.seen.done(uuid);
    this.owed.add(uuid);
    if (this.owed.due()) this.soon();
  }

  private result(re: number, data: unknown): void {
    const errors = this.channels.has(re) ? this.channels.result(re, data) : [];
    const outcomes = this.requests.result(re, data);
    if (!errors || !outcomes) return this.bad(new CometError("bad_frame", "an answer to another question"), re);
    this.report(...errors);
    this.emit(...outcomes);
  }

  private error(error: CometError, re: number | undefined): void {
    if (re === undefined) return this.report(error);
    const ofChannels = this.channels.error(re, error, this.now);
    if (ofChannels) return this.report(...ofChannels);
    this.emit(...this.requests.error(re, error, this.now));
  }

  private bad(error: CometError, re?: number): void {
    if (re !== undefined) this.emit(...this.requests.error(re, error, this.now));
    this.report(error);
    this.badFrames += 1;
    if (this.badFrames >= BAD_FRAMES_MAX) this.lost(error, false);
  }

  private report(...errors: readonly CometError[]): void {
    for (const error of errors) this.emit({ kind: "error", error });
  }

  // What is said to it.

  /** Whatever may leave now, leaves. Channels first: who asks for a history does not want to miss what comes after it. */
  private say(): void {
    if (this.phase !== "open" || !this.requests.ready(this.now)) return;
    this.tell();
    for (const text of this.requests.leave(() => this.number(), this.now)) this.send(text);
  }

  /** What is better said once for many: channels and acknowledgements. */
  private flush(): void {
    if (this.phase !== "open") return;
    this.tell();
    this.acknowledge();
  }

  private acknowledge(): void {
    const uuid = this.owed.take();
    if (uuid !== undefined) this.send(encode({ kind: "ack", uuid }));
  }

  private tell(): void {
    if (!this.channels.due(this.now)) return;
    for (const command of this.channels.commands()) this.channels.ask(this.command(command));
  }

  /** Asks for something cheap; whatever comes back is a sign of life. */
  private probe(): void {
    this.liveness.ask(this.now);
    this.command({ kind: "unsubscribe", names: [] });
  }

  private command(command: SessionCommand): number {
    const number = this.number();
    this.send(encode(command, number));
    return number;
  }

  private number(): number {
    this.numbers += 1;
    return this.numbers;
  }

  private send(text: string): void {
    this.emit({ kind: "send", socket: this.socket, text });
  }

  private soon(): void {
    if (this.flushing || this.phase !== "open") return;
    this.flushing = true;
    this.emit({ kind: "soon" });
  }
}
