// What the tests of the session layer share: a session driven by hand in virtual time, and frames as a server writes
// them. Knows nothing of the real surroundings.

import { Seen } from "../src/session/inbox.js";
import { Session, type Effect, type SessionEvent } from "../src/session.js";
import type { Command } from "../src/types.js";

/** Random numbers that are the same on every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const frames = {
  serverInfo: (more: object = {}) => ({
    pipe: "sys", event: "serverInfo", server: "comet-server 0.1.0", authorized: true, protocol: 5, data: "", message_send_time: 1_700_000_000, ...more,
  }),
  report: (re: number, more: object = {}) => ({
    pipe: "_answer_to_web_chat", event: "answer", re, data: { number_messages: 2, error: "", ...more }, message_send_time: 1_700_000_000,
  }),
  error: (code: string, re?: number) => ({ pipe: "sys", event: "error", re, data: { error: `no: ${code}`, code }, message_send_time: 1_700_000_000 }),
  fatal: (error: number, code: string) => ({
    pipe: "sys", event: "error", error, data: { error: "no", info: "connection closed", error_code: error, code }, message_send_time: 1_700_000_000,
  }),
  subscription: (re: number, refused: object[] = []) => ({
    pipe: "_answer", event: "subscription", re, data: { channels: 1, refused }, message_send_time: 1_700_000_000,
  }),
  message: (body: unknown, more: object = {}) => ({ pipe: "web_chat", event: "say", data: body, user_id: 7, message_send_time: 1_700_000_000, ...more }),
  private: (uuid: string, more: object = {}) => ({ pipe: "msg", event: "", data: uuid, uuid, message_send_time: 1_700_000_000, ...more }),
  history: (re: number, body: unknown) => ({
    pipe: "web_chat", event: "say", re, data: body, uuid: `h${body}`, user_id: 7, history: true, fromQueue: true, message_send_time: 1_700_000_000,
  }),
  answer: (re: number, event: string, data: unknown) => ({ pipe: "_answer", event, re, data, message_send_time: 1_700_000_000 }),
};

export function send(body: string, channel = "web_chat"): Command {
  return { kind: "send", channel, anonymous: false, event: "say", body, sendKey: `key_of_${body}`.slice(0, 64).replace(/[^\w-]/g, "-") };
}

export const HISTORY: Command = { kind: "history", channel: "web_chat" };
export const COUNT: Command = { kind: "count", channel: "web_chat" };

/** A session with a clock. What it does is collected. */
export class Driven {
  now = 1_000;
  readonly seen = new Seen();
  readonly session: Session;
  /** Every effect so far. */
  readonly all: Effect[] = [];
  /** Numbers of the sockets that were opened, and when. */
  readonly opened: { readonly socket: number; readonly at: number }[] = [];

  constructor(random: () => number = () => 0.5) {
    this.session = new Session(random, this.seen);
  }

  /** The effects of one event. */
  give(event: SessionEvent): Effect[] {
    const effects = this.session.handle(event, this.now);
    this.all.push(...effects);
    for (const effect of effects) if (effect.kind === "open") this.opened.push({ socket: effect.socket, at: this.now });
    return effects;
  }

  get socket(): number {
    return this.opened.at(-1)?.socket ?? 0;
  }

  get state(): string {
    return this.session.status.state;
  }

  start(statistics = false): Effect[] {
    return this.give({ kind: "start", url: "ws://node/ws/", statistics, online: true });
  }

  /** Starts, if need be, and says serverInfo. */
  open(more: object = {}): Effect[] {
    if (this.state === "idle") this.start();
    return this.frame(frames.serverInfo(more));
  }

  frame(frame: unknown): Effect[] {
    return this.give({ kind: "frame", socket: this.socket, data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  close(): Effect[] {
    return this.give({ kind: "closed", socket: this.socket });
  }

  flush(): Effect[] {
    return this.give({ kind: "flush" });
  }

  /** Time passes; timers fire when they are due. */
  pass(ms: number): Effect[] {
    const until = this.now + ms;
    const effects: Effect[] = [];
    for (let turns = 0; this.session.dueAt() <= until; turns += 1) {
      if (turns > 10_000) throw new Error("a hot loop of timers");
      this.now = Math.max(this.now, this.session.dueAt());
      effects.push(...this.give({ kind: "timer" }));
    }
    this.now = until;
    return effects;
  }

  /** Breaks the connection and passes the time until the next attempt; the server answers it. */
  reconnect(): Effect[] {
    this.close();
    const before = this.socket;
    while (this.socket === before) this.pass(Math.max(1, this.session.dueAt() - this.now));
    return this.frame(frames.serverInfo());
  }
}

/** The texts among effects. */
export function texts(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.kind === "send" ? [effect.text] : []));
}

/** The bodies of the `web_pipe2` commands among effects. */
export function bodies(effects: readonly Effect[]): string[] {
  return texts(effects).filter((text) => text.startsWith("web_pipe2 ")).map((text) => text.split("\n").slice(4).join("\n"));
}

/** The number of the last numbered command with this word. */
export function numberOf(effects: readonly Effect[], word: string): number {
  const found = texts(effects).filter((text) => text.startsWith(`${word} `)).at(-1);
  return Number(found?.split("\n")[0]?.split(" ")[1] ?? NaN);
}

export function kinds(effects: readonly Effect[]): string[] {
  return effects.map(({ kind }) => kind);
}

/** Codes of the errors that were reported. */
export function errors(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.kind === "error" ? [effect.error.code] : []));
}

/** Outcomes as `id: code` or `id: answer`. */
export function outcomes(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    if (effect.kind === "answer") return [`${effect.id}: answer`];
    return effect.kind === "fail" ? [`${effect.id}: ${effect.error.code}`] : [];
  });
}

export function delivered(effects: readonly Effect[]): unknown[] {
  return effects.flatMap((effect) => (effect.kind === "deliver" ? [effect.message.data] : []));
}
