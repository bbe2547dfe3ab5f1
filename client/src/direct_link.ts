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
import { Pending } from "./pending.js";
import { IDLE, type Answer, type Command, type ConnectionState, type Incoming, type Link, type LinkHandler, type LinkOptions, type Status } from "./types.js";
import { address } from "./wire.js";

/** A handler of a private message that takes longer counts as done, milliseconds. The server waits 10 s (`ws.ack_timeout`). */
export const HANDLER_TIMEOUT = 5_000;

/** From best to worst: the status of a link is that of its best connection. */
const STATES: readonly ConnectionState[] = ["open", "connecting", "waiting", "offline", "refused", "stopped", "idle"];

/** One session with its socket and timer. */
interface Node {
  readonly session: Session;
  /** Requests it may still answer. */
  readonly asked: Set<number>;
  socket: Socket | undefined;
  cancelTimer: (() => void) | undefined;
  /** What the timer is set to; Infinity: none. */
  timerAt: number;
}

export class DirectLink implements Link {
  private readonly seen = new Seen();
  private nodes: Node[];
  private readonly pending = new Pending();
  private readonly events: { readonly node: Node; readonly event: SessionEvent }[] = [];
  private working = false;
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
    const [best = IDLE] = all.sort((one, other) => STATES.indexOf(one.state) - STATES.indexOf(other.state));
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
    this.unlisten = this.unlisten ?? edges.listen((event: BrowserEvent) => this.feedAll({ kind: event }));
    const dropped = this.nodes.splice(Math.max(1, options.nodes.length));
    while (this.nodes.length < options.nodes.length) this.join();
    for (const node of dropped) this.feed(node, { kind: "stop" });
    const { statistics } = options;
    const online = edges.online();
    this.nodes.forEach((node, at) => {
      // A handler may have stopped it meanwhile.
      if (this.options !== options) return;
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
    return this.pending.add(command, signal, (id) => this.ask(this.nodes, id, command), (id) => this.feedAll({ kind: "abort", id }));
  }

  // Nodes.

  private node(): Node {
    const session = new Session(() => this.edges.random(), this.seen);
    return { session, asked: new Set(), socket: undefined, cancelTimer: undefined, timerAt: Infinity };
  }

  /** One more, which gets what the others have. */
  private join(): void {
    const node = this.node();
    this.nodes.push(node);
    this.feed(node, { kind: "channels", names: this.names });
    for (const [id, { command }] of this.pending.all) this.ask([node], id, command);
  }

  /** One of them that cannot even take it must not speak for the others. */
  private ask(nodes: readonly Node[], id: number, command: Command): void {
    for (const { asked } of nodes) asked.add(id);
    for (const node of nodes) this.feed(node, { kind: "request", id, command });
  }

  private feedAll(event: SessionEvent): void {
    for (const node of this.nodes) this.feed(node, event);
  }

  /** Events are taken one after the other, also those that an effect of another one causes. */
  private feed(node: Node, event: SessionEvent): void {
    this.events.push({ node, event });
    if (this.working) return;
    this.working = true;
    try {
      for (let next = this.events.shift(); next; next = this.events.shift()) {
        for (const effect of next.node.session.handle(next.event, this.edges.now())) this.carryOut(next.node, effect);
        this.arm(next.node);
      }
    } finally {
      this.working = false;
    }
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
        return this.answer(node, effect.id, effect.answer);
      case "fail":
        return this.fail(node, effect.id, effect.error);
      case "status":
      case "error":
        return this.tell(effect);
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
    const handled = new Promise((resolve) => resolve(this.handler.receive(message)))
      .catch((error: unknown) => this.edges.report(error));
    const { uuid } = message;
    if (message.pipe !== "msg" || uuid === undefined) return;
    const done = () => {
      cancel();
      if (this.seen.isDone(uuid)) return;
      this.seen.done(uuid);
      this.feedAll({ kind: "handled" });
    };
    const cancel = this.edges.timer(done, HANDLER_TIMEOUT);
    void handled.then(done);
  }

  private answer(node: Node, id: number, answer: Answer): void {
    node.asked.delete(id);
    this.pending.settle(id, answer);
    // A node that is away is not to send it long after the others did.
    for (const node of this.nodes) {
      if (node.session.status.state !== "open") this.feed(node, { kind: "abort", id });
    }
  }

  private fail(node: Node, id: number, error: CometError): void {
    node.asked.delete(id);
    if (!this.nodes.some(({ asked }) => asked.has(id))) this.pending.settle(id, error);
  }

  /** An exception of the page's code is the page's affair. */
  private tell(effect: Extract<Effect, { kind: "status" | "error" }>): void {
    try {
      if (effect.kind === "status") this.handler.status(this.status);
      else this.handler.error(effect.error);
    } catch (error) {
      this.edges.report(error);
    }
  }
}
