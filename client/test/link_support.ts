// Virtual surroundings for links: a clock whose timers fire in order, and a network whose other end a test plays.
// Nothing here waits for real time.

import type { BrowserEvent, Edges, Socket, SocketListener, SocketRefusal } from "../src/edges.js";
import type { LinkHandler, LinkOptions, Incoming, Status } from "../src/types.js";
import type { CometError } from "../src/errors.js";
import { seeded } from "./session_support.js";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** What happens when, in order: a binary heap, so that thousands of clients are cheap. */
export class Clock {
  now = 0;
  private order = 0;
  private readonly heap: Timer[] = [];

  timer(run: () => void, ms: number): () => void {
    const timer: Timer = { at: this.now + Math.max(0, ms), order: (this.order += 1), run, cancelled: false };
    this.push(timer);
    return () => void (timer.cancelled = true);
  }

  /** Runs the next thing up to `until`; false if there is none. */
  step(until: number): boolean {
    for (let next = this.heap[0]; next && next.at <= until; next = this.heap[0]) {
      this.pop();
      if (next.cancelled) continue;
      this.now = Math.max(this.now, next.at);
      next.run();
      return true;
    }
    return false;
  }

  /** Lets time pass, and promises settle in between. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    await settle();
    while (this.step(until)) await settle();
    this.now = until;
  }

  /** The same where no promises are involved. */
  rush(ms: number): void {
    const until = this.now + ms;
    while (this.step(until));
    this.now = until;
  }

  private push(timer: Timer): void {
    const { heap } = this;
    heap.push(timer);
    for (let at = heap.length - 1; at > 0; ) {
      const up = (at - 1) >> 1;
      if (!this.swapIfBefore(at, up)) break;
      at = up;
    }
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const down = right < heap.length && this.before(right, left) ? right : left;
      if (down >= heap.length || !this.swapIfBefore(down, at)) break;
      at = down;
    }
  }

  private before(a: number, b: number): boolean {
    const [one, other] = [this.heap[a], this.heap[b]];
    return one !== undefined && other !== undefined && (one.at < other.at || (one.at === other.at && one.order < other.order));
  }

  private swapIfBefore(a: number, b: number): boolean {
    const [one, other] = [this.heap[a], this.heap[b]];
    if (!one || !other || !this.before(a, b)) return false;
    this.heap[a] = other;
    this.heap[b] = one;
    return true;
  }
}

/** Enough turns for chains of promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await Promise.resolve();
}

/** The test's end of one socket. */
export class Peer {
  readonly received: string[] = [];
  closed = false;

  constructor(readonly url: string, private readonly listener: SocketListener) {}

  say(...frames: unknown[]): void {
    for (const frame of frames) if (!this.closed) this.listener.frame(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  drop(): void {
    if (this.closed) return;
    this.closed = true;
    this.listener.closed();
  }

  /** What was received since the last call. */
  take(): string[] {
    return this.received.splice(0);
  }

  socket(): Socket {
    return {
      send: (text) => {
        if (!this.closed) this.received.push(text);
        return !this.closed;
      },
      close: () => void (this.closed = true),
    };
  }
}

export class World {
  readonly clock = new Clock();
  readonly peers: Peer[] = [];
  readonly reported: unknown[] = [];
  refusal: SocketRefusal | undefined;
  isOnline = true;
  listeners = new Set<(event: BrowserEvent) => void>();

  constructor(private readonly chance: () => number = seeded(1)) {}

  readonly edges: Edges = {
    now: () => this.clock.now,
    random: () => this.chance(),
    timer: (run, ms) => this.clock.timer(run, ms),
    soon: (run) => void this.clock.timer(run, 0),
    connect: (url, listener) => {
      if (this.refusal) return this.refusal;
      const peer = new Peer(url, listener);
      this.peers.push(peer);
      return peer.socket();
    },
    online: () => this.isOnline,
    listen: (heard) => {
      this.listeners.add(heard);
      return () => void this.listeners.delete(heard);
    },
    report: (error) => void this.reported.push(error),
  };

  get peer(): Peer {
    const last = this.peers.at(-1);
    if (!last) throw new Error("nobody connected");
    return last;
  }

  tell(event: BrowserEvent): void {
    for (const heard of this.listeners) heard(event);
  }
}

/** A page that writes down what it hears. */
export class Page implements LinkHandler {
  readonly messages: Incoming[] = [];
  readonly statuses: Status[] = [];
  readonly errors: CometError[] = [];
  /** What `receive` returns or throws. */
  handle: (message: Incoming) => void | Promise<unknown> = () => undefined;

  receive(message: Incoming): void | Promise<unknown> {
    this.messages.push(message);
    return this.handle(message);
  }

  status(status: Status): void {
    this.statuses.push(status);
  }

  error(error: CometError): void {
    this.errors.push(error);
  }
}

export const OPTIONS: LinkOptions = {
  nodes: ["ws://node:8087"], devId: "0", userId: "7", userKey: "k", uuid: "browser", chosen: false, statistics: false,
};
