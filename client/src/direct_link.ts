// The link whose connections live in this tab: one session per node, driven with real sockets and timers.
//
// Promises what `Link` says, also with several nodes (protocol.md 9.2): a message that comes over several of them
// reaches the page once, a command goes to all of them and the first success is its answer. Nothing a handler throws
// and nothing a server says gets out of here. Must never know of other tabs.

import type { BrowserEvent, Edges, Socket } from "./edges.js";
import { CometError } from "./errors.js";
import { isAnotherUser } from "./options.js";
import { Session, type Effect, type SessionEvent } from "./session.js";
import { Seen } from "./session/inbox.js";
import type { Answer, Command, ConnectionState, Incoming, Link, LinkHandler, LinkOptions, Status } from "./types.js";
import { address } from "./wire.js";

/** A handler of a private message that takes longer counts as done, milliseconds. The server waits 10 s (`ws.ack_timeout`). */
export const HANDLER_TIMEOUT = 5_000;

/** From best to worst: the status of a link is that of its best connection. */
const STATES: readonly ConnectionState[] = ["open", "connecting", "waiting", "offline", "refused", "stopped", "idle"];

/** One session with its socket and timer. */
interface Node {
  readonly session: Session;
  socket: Socket | undefined;
  cancelTimer: (() => void) | undefined;
  /** What the timer is set to; Infinity: none. */
  timerAt: number;
}

/** A request as the page sees it. */
interface Pending {
  readonly command: Command;
  /** Sessions that may still answer. */
  readonly asked: Set<Node>;
  resolve(answer: Answer): void;
  reject(error: CometError): void;
}

export class DirectLink implements Link {
  private readonly seen = new Seen();
  private nodes: Node[];
  private readonly pending = new Map<number, Pending>();
  private readonly events: { readonly node: Node; readonly event: SessionEvent }[] = [];
  private working = false;
  private requests = 0;
  private names: readonly string[] = [];
  /** undefined: idle or stopped. */
  private options: LinkOptions | undefined;
  private unlisten: (() => void) | undefined;

  constructor(private readonly handler: LinkHandler, private readonly edges: Edges) {
    // There is always one, so that what is asked before `start` has a place to wait.
    this.nodes = [this.node()];
  }

  get status(): Status {
    const all = this.nodes.map(({ session }) => session.status);
    const best = all.reduce((best, one) => (STATES.indexOf(one.state) < STATES.indexOf(best.state) ? one : best));
    return { ...best, master: true };
  }

  start(options: LinkOptions): void {
    if (this.options && JSON.stringify(this.options) === JSON.stringify(options)) return;
    this.restart(options);
  }

  restart(options: LinkOptions): void {
    if (isAnotherUser(this.options, options)) this.feedAll({ kind: "stop" });
    this.options = options;
    const { edges } = this;
    this.unlisten ??= edges.listen((event: BrowserEvent) => this.feedAll({ kind: event }));
    const dropped = this.nodes.splice(Math.max(1, options.nodes.length));
    while (this.nodes.length < options.nodes.length) this.join();
    for (const node of dropped) this.feed(node, { kind: "stop" });
    const { statistics } = options;
    const online = edges.online();
    this.nodes.forEach((node, at) => {
      this.feed(node, { kind: "start", url: address(options.nodes[at] ?? "", options), statistics, online });
    });
  }

  stop(): void {
    this.options = undefined;
    this.unlisten?.();
    this.unlisten = undefined;
    this.feedAll({ kind: "stop" });
  }

  channels(names: readonly string[]): void {
    this.names = [...names];
    this.feedAll({ kind: "channels", names: this.names });
  }

  request(command: Command, signal?: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(aborted());
      const id = (this.requests += 1);
      const abort = () => {
        this.settle(id)?.reject(aborted());
        this.feedAll({ kind: "abort", id });
      };
      signal?.addEventListener("abort", abort, { once: true });
      const done = () => signal?.removeEventListener("abort", abort);
      this.pending.set(id, {
        command,
        asked: new Set(this.nodes),
        resolve: (answer) => (done(), resolve(answer)),
        reject: (error) => (done(), reject(error)),
      });
      this.feedAll({ kind: "request", id, command });
    });
  }

  // Nodes.

  private node(): Node {
    const session = new Session(() => this.edges.random(), this.seen);
    return { session, socket: undefined, cancelTimer: undefined, timerAt: Infinity };
  }

  /** One more, which gets what the others have. */
  private join(): void {
    const node = this.node();
    this.nodes.push(node);
    this.feed(node, { kind: "channels", names: this.names });
    for (const [id, { command, asked }] of this.pending) {
      asked.add(node);
      this.feed(node, { kind: "request", id, command });
    }
  }

  private feedAll(event: SessionEvent): void {
    for (const node of this.nodes) this.feed(node, event);
  }

  /** Events are taken one after the other, also those that an effect of another one causes. */
  private feed(node: Node, event: SessionEvent): void {
    this.events.push({ node, event });
    if (this.working) return;
    this.working = true;
    for (let next = this.events.shift(); next; next = this.events.shift()) {
      for (const effect of next.node.session.handle(next.event, this.edges.now())) this.carryOut(next.node, effect);
      this.arm(next.node);
    }
    this.working = false;
  }

  private arm(node: Node): void {
    const due = node.session.dueAt();
    if (due === node.timerAt) return;
    node.cancelTimer?.();
    node.timerAt = due;
    node.cancelTimer = undefined;
    if (due === Infinity) return;
    node.cancelTimer = this.edges.timer(() => {
      node.timerAt = Infinity;
      this.feed(node, { kind: "timer" });
    }, Math.max(0, due - this.edges.now()));
  }

  // Effects.

  private carryOut(node: Node, effect: Effect): void {
    switch (effect.kind) {
      case "open":
        return this.open(node, effect.socket, effect.url);
      case "send":
        if (node.socket?.send(effect.text) === false) this.feed(node, { kind: "closed", socket: effect.socket });
        return;
      case "close":
        node.socket?.close();
        node.socket = undefined;
        return;
      case "soon":
        return this.edges.soon(() => this.feed(node, { kind: "flush" }));
      case "deliver":
        return this.deliver(effect.message);
      case "answer":
        return this.answer(effect.id, effect.answer);
      case "fail":
        return this.fail(node, effect.id, effect.error);
      case "status":
        return this.guard(() => this.handler.status(this.status));
      case "error":
        return this.guard(() => this.handler.error(effect.error));
    }
  }

  private open(node: Node, socket: number, url: string): void {
    const opened = this.edges.connect(url, {
      frame: (data) => this.feed(node, { kind: "frame", socket, data }),
      closed: () => this.feed(node, { kind: "closed", socket }),
    });
    if (typeof opened === "string") this.feed(node, { kind: "blocked", socket, code: opened });
    else node.socket = opened;
  }

  private deliver(message: Incoming): void {
    const handled = this.guard(() => this.handler.receive(message));
    const { uuid } = message;
    if (message.pipe !== "msg" || uuid === undefined) {
      Promise.resolve(handled).catch((error: unknown) => this.edges.report(error));
      return;
    }
    const done = () => {
      cancel();
      if (this.seen.isDone(uuid)) return;
      this.seen.done(uuid);
      this.feedAll({ kind: "handled" });
    };
    const cancel = this.edges.timer(done, HANDLER_TIMEOUT);
    Promise.resolve(handled).catch((error: unknown) => this.edges.report(error)).then(done);
  }

  private answer(id: number, answer: Answer): void {
    this.settle(id)?.resolve(answer);
    // A node that is away is not to send it long after the others did.
    for (const node of this.nodes) {
      if (node.session.status.state !== "open") this.feed(node, { kind: "abort", id });
    }
  }

  private fail(node: Node, id: number, error: CometError): void {
    const asked = this.pending.get(id)?.asked;
    asked?.delete(node);
    if (asked?.size === 0) this.settle(id)?.reject(error);
  }

  private settle(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    this.pending.delete(id);
    return pending;
  }

  /** An exception of the page's code is the page's affair. */
  private guard<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.edges.report(error);
      return undefined;
    }
  }
}

function aborted(): CometError {
  return new CometError("aborted", "the caller changed its mind");
}
