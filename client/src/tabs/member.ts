// A tab as a member of its group: knows who is master, becomes it when its turn comes, notices when it is not any more.
//
// Promises (S60, S61): `isMaster` is true in at most one tab of a group at any time, also around tabs that were frozen;
// while a tab runs there is a master within a second, and mostly at once. How:
//
//   * The arbiter (election.ts) tells one tab that it has won. That may be old news in a tab that was frozen meanwhile,
//     so the winner first says something and waits until it hears itself: then it has heard all that was said before.
//   * A master is sure of itself for `LEASE` after it last said a beat that it heard itself. After a pause of whatever
//     cause it is not sure until the next beat came round, and until then passes nothing on.
//   * Tabs that hear nothing from the master for `SILENCE` ask. A master that was asked and does not answer for
//     `PATIENCE` did not hear itself since, so its lease is over, and its place is taken. Questions and answers are
//     messages: browsers delay the timers of hidden tabs, not their messages.
//
// Must never know what masters and pages do with messages.

import type { Answer, Command, Incoming, Link, LinkHandler, LinkOptions, Status } from "../types.js";
import { CometError } from "../errors.js";
import type { Bus, TabEdges } from "./edges.js";
import { LockElection, StoreElection, type Candidate, type Election } from "./election.js";
import { Master, type MasterHost } from "./master.js";
import { BUS_VERSION, fromBusStatus, parseMessage, type BusBody, type ToMaster } from "./message.js";

/** The master speaks so often (protocol.md 9.5), milliseconds. */
export const BEAT = 200;
/** After so much silence a tab asks, milliseconds. */
export const SILENCE = 250;
/** A master that does not answer for so long is replaced, milliseconds. */
export const PATIENCE = 550;
/** A master is sure of itself for so long, milliseconds. Less than `PATIENCE` by more than a message takes. */
export const LEASE = 450;
/** Two tabs that claim at once know after so long which of them has won, milliseconds. */
export const CROSSING = 50;
/** The roll is called so often, milliseconds. */
export const ROLL = 5_000;

/** The page, as its member sees it. */
export interface Page {
  channels(): readonly string[];
  /** Requests without outcome, in the order of asking. */
  requests(): Iterable<readonly [number, Command]>;
  deliver(message: Incoming, key: string): Promise<unknown> | undefined;
  settle(id: number, outcome: Answer | CometError): void;
  status(status: Omit<Status, "master">): void;
  error(error: CometError): void;
  /** `isMaster` may have changed. */
  roleChanged(): void;
}

export interface Group {
  readonly name: string;
  readonly options: LinkOptions;
  readonly create: (handler: LinkHandler) => Link;
}

const nothing = (): void => undefined;

export class Member implements Candidate, MasterHost {
  readonly id: string;
  private bus: Bus | undefined;
  private election: Election | undefined;
  private master: Master | undefined;
  /** Who is or was master, and the newest term heard of. Empty: not known yet. */
  private leader = "";
  term = 0;
  /** Frozen, or no member any more. */
  private asleep = false;
  /** Ends the timer of the role: the next beat of a master, the end of a watcher's patience. */
  private cancel: () => void = nothing;
  private cancelEntry: () => void = nothing;
  private rolledAt = 0;
  /** A beat said then came back. */
  private sureAt = -Infinity;
  private waiting: (readonly [then: () => void, late: () => void])[] = [];
  private confirming = false;
  private pings = 0;
  private pingedAt = 0;
  /** Numbers of own pings: when they come back, this tab becomes master, or takes the place of a silent one. 0: none. */
  private winning = 0;
  private doubting = 0;
  /** This tab has won, but waits before it says so. */
  private postponed = false;
  /** When this tab claimed the place of a silent master, and when it last heard a master. */
  private claimedAt = -Infinity;
  private heardAt = -Infinity;

  constructor(readonly edges: TabEdges, readonly page: Page, private readonly group: Group) {
    this.id = edges.newId();
    if (edges.locks ?? edges.store) this.bus = edges.openBus(group.name, (message) => this.hear(message));
    this.election = this.bus && this.makeElection();
  }

  private makeElection(): Election | undefined {
    const { locks, store, timer } = this.edges;
    if (locks) return new LockElection(locks, this.group.name, this);
    return store && new StoreElection(store, timer, this.group.name, this);
  }

  /** Where tabs cannot talk or nobody arbitrates (storage switched off), each has its own connection and is master. */
  start(): void {
    if (!this.election) {
      this.become();
      return;
    }
    this.election.enter();
    this.ping();
    this.watchMaster();
  }

  /** Leaves the group. What was not answered stays with the page. */
  close(): void {
    this.asleep = true;
    this.resign();
    this.election?.end();
    this.post("", "bye");
    this.bus?.close();
  }

  /** The page is being frozen: it must not stand in the way of others. */
  sleep(): void {
    if (!this.election || this.asleep) return;
    this.asleep = true;
    const wasMaster = this.master !== undefined;
    this.resign();
    if (wasMaster) this.post("", "bye");
    else this.post("", "hello", this.page.channels(), false);
  }

  wake(): void {
    if (!this.asleep) return;
    this.asleep = false;
    this.start();
    this.introduce();
  }

  /** undefined: not known, or not certain at this moment. */
  get isMaster(): boolean | undefined {
    if (!this.master) return this.leader === "" ? undefined : false;
    if (this.isSure()) return true;
    this.confirm();
    return undefined;
  }

  channelsChanged(): void {
    this.tell("hello", this.page.channels(), !this.asleep);
  }

  /** For the master, whoever it is. */
  tell(...body: ToMaster): void {
    if (this.master) this.master.hear(this.id, body);
    else this.post(this.leader, ...body);
  }

  get watch(): Election["watch"] {
    return this.election?.watch;
  }

  won(): void {
    if (!this.master) this.winning = this.ping();
  }

  lost(): void {
    this.winning = 0;
    this.postponed = false;
    this.cancelEntry();
    this.cancelEntry = this.edges.timer(() => this.election?.enter(), BEAT);
    this.stepDown();
    this.watchMaster();
  }

  /** As where there is no election. What is denied now would be denied again. */
  refused(): void {
    this.bus?.close();
    this.bus = this.election = undefined;
    this.become();
  }

  private hear(value: unknown): void {
    const message = parseMessage(value);
    if (!message) return;
    const [, from, to, ...body] = message;
    try {
      if (from === this.id) this.hearMyself(body);
      else if (to === "" || to === this.id) this.hearOther(from, body);
    } catch {
      // A forgery: what tabs say has the inside that its outline promises.
    }
  }

  private hearMyself(body: BusBody): void {
    if (body[0] === "beat" && this.master && body[1] === this.term) {
      this.sureAt = body[2];
      this.confirming = false;
      if (this.isSure()) {
        this.page.roleChanged();
        // Each stays in line until its turn: what one causes comes behind the others, and one may end the mastership.
        while (this.master && this.waiting.length > 0) this.waiting.shift()?.[0]();
      } else if (this.waiting.length > 0) this.confirm();
    }
    if (body[0] !== "ping") return;
    if (body[1] === this.winning) this.hearAllBeforeWinning();
    else if (body[1] === this.doubting && !this.winning) this.claim();
  }

  private hearAllBeforeWinning(): void {
    const now = this.edges.now();
    // The master whose place this is woke up in the last moment; it gives way when it hears the claim, or its lease ends.
    if (now - this.claimedAt < 2 * LEASE && this.heardAt > this.claimedAt) this.winLater(LEASE);
    // This tab slept between the question and the answer, so there may be another master by now.
    else if (now - this.pingedAt >= LEASE) this.won();
    else if (this.election?.holds()) this.become();
    else this.winning = 0;
  }

  private rivalGone(): void {
    this.heardAt = -Infinity;
    if (!this.postponed) return;
    this.cancelEntry();
    this.postponed = false;
    this.won();
  }

  private claim(): void {
    this.claimedAt = this.edges.now();
    this.post("", "claim");
    this.election?.take();
    this.watchMaster();
  }

  private hearOther(from: string, body: BusBody): void {
    const { master, page } = this;
    switch (body[0]) {
      case "ping":
        if (master) this.beat(false);
        return;
      case "claim":
        return this.hearClaim();
      case "yield":
        if (from === this.leader) this.rivalGone();
        return;
      case "bye":
        master?.bye(from);
        if (from === this.leader && !this.asleep) this.election?.vacant?.(from);
        return;
      case "beat":
        if (this.follow(from, body[1]) && body[3]) this.introduce();
        return;
      case "status":
        if (this.follow(from, body[1])) page.status(fromBusStatus(body[2], this.group.options.userKey));
        return;
      case "error":
        if (this.follow(from, body[1])) page.error(new CometError(body[2], body[3]));
        return;
      case "message":
        return this.hearMessage(from, body);
      case "answer":
        return page.settle(body[1], body[2]);
      case "failed":
        return page.settle(body[1], new CometError(body[2], body[3]));
      case "hello":
      case "request":
      case "abort":
      case "handled":
      case "reconnect":
        return master?.hear(from, body);
    }
  }

  /** Of whatever term: a master speaks only while it is sure, and what an old one said may come late. */
  private hearMessage(from: string, [, number, key, except, message]: Extract<BusBody, readonly ["message", ...unknown[]]>): void {
    if (except === this.id) return;
    void Promise.resolve(this.page.deliver(message, key)).then(() => {
      if (number > 0) this.post(from, "handled", number);
    });
  }

  /** Whoever claims is about to win. If not, because two claimed, the one that has won after all goes on. */
  private hearClaim(): void {
    const { winning } = this;
    this.giveWay();
    this.watchMaster();
    if (winning && !this.asleep) this.winLater(CROSSING);
  }

  /** Unless it is lost until then. */
  private winLater(ms: number): void {
    this.winning = 0;
    this.postponed = true;
    this.cancelEntry();
    this.cancelEntry = this.edges.timer(() => {
      this.postponed = false;
      if (this.election?.holds()) this.won();
    }, ms);
  }

  /** True if `from` is the master, as far as this tab knows. Of two, the later term; of the same, the larger id (protocol.md 9.5). */
  private follow(from: string, term: number): boolean {
    if (term < this.term || (term === this.term && from < this.leader)) {
      if (this.master) this.beat(false);
      return false;
    }
    if (from !== this.leader || term !== this.term) {
      this.giveWay();
      this.leader = from;
      this.term = term;
      this.page.roleChanged();
      this.introduce();
    }
    this.heardAt = this.edges.now();
    this.watchMaster();
    return true;
  }

  /** Tells a master all it needs to know about this tab. */
  private introduce(): void {
    if (this.master) return;
    this.channelsChanged();
    for (const [id, command] of this.page.requests()) this.tell("request", id, command);
  }

  private become(): void {
    this.winning = this.doubting = 0;
    this.cancel();
    this.cancelEntry();
    this.leader = this.id;
    this.term = Math.max(this.term + 1, this.edges.wallClock());
    const { page } = this;
    const master = new Master(this, this.group.options, this.group.create);
    this.master = master;
    master.start(page.channels());
    for (const [request, command] of page.requests()) this.tell("request", request, command);
    page.roleChanged();
    this.tick();
  }

  /** Leaves the place and the line of those who wait for it. */
  private resign(): void {
    this.winning = this.doubting = 0;
    this.postponed = false;
    this.cancel();
    this.cancelEntry();
    this.stepDown(true);
    this.election?.leave();
  }

  private giveWay(): void {
    if (!this.master) return;
    this.election?.yield();
    this.stepDown();
  }

  /** The page hears of it last, since it may leave the group then. */
  private stepDown(leaves = false): void {
    const { master, waiting } = this;
    if (!master) return;
    this.master = undefined;
    this.waiting = [];
    this.confirming = false;
    this.sureAt = -Infinity;
    this.cancel();
    this.post("", "yield");
    master.close(leaves);
    for (const [, late] of waiting) late();
    this.page.roleChanged();
  }

  private tick(): void {
    // What the page did when it heard that it is master may have ended it.
    if (!this.election || !this.master) return;
    const now = this.edges.now();
    const roll = now - this.rolledAt >= ROLL && this.master?.roll() === true;
    if (roll) this.rolledAt = now;
    this.cancel = this.edges.timer(() => this.tick(), BEAT);
    this.beat(roll);
  }

  private beat(roll: boolean): void {
    // Later, since whoever asked for the status does not expect that it changes by that.
    if (this.election?.holds() === false) queueMicrotask(() => this.master && this.lost());
    else this.post("", "beat", this.term, this.edges.now(), roll);
  }

  private isSure(): boolean {
    if (!this.election) return true;
    return this.edges.now() - this.sureAt < LEASE && this.election.holds();
  }

  whenSure(then: () => void, late = nothing): void {
    if (this.waiting.length === 0 && this.isSure()) then();
    else {
      this.waiting.push([then, late]);
      this.confirm();
    }
  }

  private confirm(): void {
    if (this.confirming) return;
    this.confirming = true;
    this.beat(false);
  }

  private ping(): number {
    this.pings += 1;
    this.pingedAt = this.edges.now();
    this.post("", "ping", this.pings);
    return this.pings;
  }

  /** Waits for the master to fall silent. */
  private watchMaster(): void {
    if (this.master || this.asleep) return;
    this.doubting = 0;
    this.cancel();
    this.cancel = this.edges.timer(() => {
      this.ping();
      this.cancel = this.edges.timer(() => {
        // Timers of a tab that was frozen itself run before the messages that wait for it: hear those first.
        this.doubting = this.ping();
      }, PATIENCE);
    }, SILENCE);
  }

  post(to: string, ...body: BusBody): void {
    this.bus?.post([BUS_VERSION, this.id, to, ...body]);
  }
}
