// The connection of a browser, as one of its tabs sees it: like a connection of its own, but only one tab, the master,
// really has one.
//
// Promises: `status.master` is true in exactly one tab of a group (S60), so that a page can let one tab act on a message
// (S61); each message of a channel that this tab wants reaches it once, also when another tab becomes master meanwhile;
// each request gets one outcome, whoever is master when it comes. Tabs with other credentials have a connection of
// their own. Tabs are independent: `stop` and `restart` with other credentials concern this tab alone, where 3.25 sent
// them to the master and so stopped all tabs (protocol.md 9.5).
// Must never know how a master is found (member.ts) and how a connection works.

import { CometError } from "../errors.js";
import { isAnotherUser } from "../options.js";
import { Pending } from "../pending.js";
import { IDLE, type Answer, type Command, type Incoming, type Link, type LinkHandler, type LinkOptions, type Status } from "../types.js";
import type { PageEvent, TabEdges } from "./edges.js";
import { groupName } from "./group.js";
import { Member, type Page } from "./member.js";

/** Requests without outcome at one time. */
export const REQUESTS_MAX = 1_000;

/** So many messages are remembered, so that none is delivered twice. */
const SEEN_MAX = 8_192;

/** So many private messages are remembered over a reload, and where. */
const HANDLED_MAX = 64;
const HANDLED = "comet.handled";

const nothing = (): void => undefined;

export class SharedLink implements Link {
  private member: Member | undefined;
  private options: LinkOptions | undefined;
  /** Left for the back-forward cache. */
  private parked = false;
  private unlisten: (() => void) | undefined;
  private wanted: ReadonlySet<string> = new Set();
  private last: Omit<Status, "master"> = IDLE;
  private toldMaster: boolean | undefined;
  private readonly pending = new Pending();
  /** Messages that were here, and when the page is done with them. */
  private readonly seen = new Map<string, Promise<void>>();
  /** The newest private messages that the page is done with. */
  private handled: string[] = [];

  /** `create` makes the connection of a master. */
  constructor(
    private readonly handler: LinkHandler,
    private readonly create: (handler: LinkHandler) => Link,
    private readonly edges: TabEdges,
  ) {}

  get status(): Status {
    return { ...this.last, master: this.member ? this.member.isMaster : this.toldMaster };
  }

  start(options: LinkOptions): void {
    if (!this.isOfGroup(options)) this.join(options);
  }

  restart(options: LinkOptions): void {
    if (this.member && this.isOfGroup(options)) this.member.tell("reconnect");
    else this.join(options);
  }

  stop(): void {
    this.options = undefined;
    this.recall();
    this.leave();
    this.unlisten?.();
    this.unlisten = undefined;
    this.pending.clear();
    this.last = { ...this.last, state: "stopped", error: undefined };
    this.tell(false);
  }

  channels(names: readonly string[]): void {
    this.wanted = new Set(names);
    this.member?.channelsChanged();
  }

  request(command: Command, signal?: AbortSignal): Promise<Answer> {
    const { pending } = this;
    if (pending.all.size >= REQUESTS_MAX) return Promise.reject(new CometError("queue_full", "too much waits for the server"));
    // Who has not started yet waits; who has stopped would wait for ever.
    if (!this.options && this.last.state === "stopped") return Promise.reject(new CometError("stopped", "the connection was stopped"));
    return pending.add(command, signal, (id) => this.member?.tell("request", id, command), (id) => this.member?.tell("abort", id));
  }

  private isOfGroup(options: LinkOptions): boolean {
    return !!this.options && groupName(this.options) === groupName(options);
  }

  private join(options: LinkOptions): void {
    this.recall();
    this.leave();
    if (isAnotherUser(this.options, options)) this.pending.clear();
    this.last = { ...(this.isOfGroup(options) ? this.last : IDLE), state: "connecting", error: undefined };
    this.options = options;
    this.tell(undefined);
    // The page may have left again, or begun anew.
    if (this.member || this.options !== options) return;
    this.unlisten = this.unlisten ?? this.edges.listen((event) => this.hear(event));
    const { create } = this;
    const page = this.page(() => this.member === member);
    const member: Member = new Member(this.edges, page, { name: groupName(options), options, create });
    this.member = member;
    // Also what the page before the last one handled: it may still come.
    if (this.handled.length === 0) this.handled = this.edges.tabStore?.get(HANDLED)?.split(" ").filter(Boolean) ?? [];
    for (const id of this.handled) if (!this.seen.has(id)) this.seen.set(id, Promise.resolve());
    member.start();
  }

  /** What the group has not done yet it must not do any more: this tab asks elsewhere, or not at all. */
  private recall(): void {
    for (const id of this.pending.all.keys()) this.member?.tell("abort", id);
  }

  private leave(): void {
    const { member } = this;
    this.member = undefined;
    this.parked = false;
    member?.close();
  }

  private hear(event: PageEvent): void {
    const { member } = this;
    if (event === "freeze") member?.sleep();
    else if (event === "resume") member?.wake();
    else if (event === "pageshow") {
      if (this.parked && this.options) this.join(this.options);
    } else if (member) {
      // The browser may drop the acknowledgement of what was handled just before: then it comes again (S11).
      this.edges.tabStore?.set(HANDLED, this.handled.join(" "));
      this.leave();
      this.parked = true;
    }
  }

  /** What a group that this tab has left still says is answers only. */
  private page(isMember: () => boolean): Page {
    const ifMember = (run: () => void) => {
      if (isMember()) run();
    };
    return {
      channels: () => [...this.wanted],
      requests: () => [...this.pending.all].map(([id, { command }]) => [id, command] as const),
      deliver: (message, key) => (isMember() ? this.deliver(message, key) : undefined),
      settle: (id, outcome) => this.pending.settle(id, outcome),
      status: (status) => ifMember(() => {
        this.last = status;
        this.tell(this.member?.isMaster);
      }),
      error: (error) => ifMember(() => this.handler.error(error)),
      roleChanged: () => ifMember(() => {
        const master = this.member?.isMaster;
        if (master !== this.toldMaster) this.tell(master);
      }),
    };
  }

  private tell(master: boolean | undefined): void {
    this.toldMaster = master;
    this.handler.status({ ...this.last, master });
  }

  /** What it returns settles when the page is done with the message. */
  private deliver(message: Incoming, key: string): Promise<unknown> | undefined {
    if (message.pipe !== "msg" && !this.wanted.has(message.pipe)) return undefined;
    const id = message.uuid ?? key;
    const known = this.seen.get(id);
    if (known) return known;
    const done = Promise.resolve(this.handler.receive(message)).then(nothing, nothing);
    if (id !== "") this.seen.set(id, done);
    if (message.pipe === "msg") void done.then(() => (this.handled = [...this.handled.slice(1 - HANDLED_MAX), id]));
    const [oldest] = this.seen.keys();
    if (this.seen.size > SEEN_MAX && oldest !== undefined) this.seen.delete(oldest);
    return done;
  }
}
