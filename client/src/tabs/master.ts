// What the master does for the tabs of its group: holds the connection, tells the server what all of them want, asks
// for them, and passes on what comes.
//
// Promises: the link is told the union of the channels of all tabs, also when it shrinks; every request of a tab gets
// its answer; a private message is acknowledged when every tab that is awake has handled it, or after `PATIENCE_ACK`.
// Passes messages on only while it is sure to be master (S60, S61). Must never know how one becomes master.

import type { Answer, Answers, Command, Incoming, Link, LinkHandler, LinkOptions, Status } from "../types.js";
import { attempt } from "../attempt.js";
import { CometError } from "../errors.js";
import type { TabEdges } from "./edges.js";
import type { Page } from "./member.js";
import { toBusStatus, type BusBody, type ToMaster } from "./message.js";

/** So long a private message waits for a tab that does not say that it handled it, milliseconds. */
export const PATIENCE_ACK = 3_000;

/** A master that was replaced while it was frozen still hears for so long what had come for it, milliseconds. */
const DRAIN = 200;

/** So many times a tab may leave the master's call unanswered, where nothing else tells that it has ended. */
const UNANSWERED_MAX = 3;

/** The tab in which this runs, and the line to the others. */
export interface MasterHost {
  readonly id: string;
  readonly edges: TabEdges;
  /** `to` empty: to all other tabs. */
  post(to: string, ...body: BusBody): void;
  /**
   * Runs `then`, in the order of the calls, when it is certain that this tab is master; if it turns out that it is not
   * any more, `late`.
   */
  whenSure(then: () => void, late?: () => void): void;
  readonly term: number;
  readonly watch: ((tab: string, gone: () => void) => () => void) | undefined;
  readonly page: Pick<Page, "deliver" | "settle" | "status" | "error">;
}

interface Tab {
  channels: readonly string[];
  /** False: it is frozen or did not answer, nobody waits for it. */
  awake: boolean;
  unanswered: number;
  readonly unwatch: (() => void) | undefined;
}

interface Wait {
  /** Tabs that have not handled it yet. */
  readonly left: Set<string>;
  readonly cancel: () => void;
  readonly resolve: () => void;
}

export class Master implements LinkHandler {
  private readonly link: Link;
  private readonly tabs = new Map<string, Tab>();
  /** Requests of all tabs on their way. */
  private readonly flights = new Map<string, AbortController>();
  /** Private messages not handled by all, by number. */
  private readonly waits = new Map<number, Wait>();
  private numbers = 0;
  private closed = false;

  constructor(private readonly host: MasterHost, private readonly options: LinkOptions, create: (handler: LinkHandler) => Link) {
    this.link = create(this);
  }

  /** `own`: the channels of the tab in which this runs. */
  start(own: readonly string[]): void {
    this.hello(this.host.id, own, true);
    this.link.start(this.options);
  }

  /**
   * Nothing of this mastership reaches anybody any more, but for answers that are on their way to their tab and channel
   * messages with an id, unless the tab leaves itself.
   */
  close(leaves: boolean): void {
    this.closed = true;
    for (const { unwatch } of this.tabs.values()) unwatch?.();
    // Not acknowledged: the server sends them to the next master, and tabs that had them drop them.
    for (const { cancel } of this.waits.values()) cancel();
    if (leaves) this.link.stop();
    else this.host.edges.timer(() => this.link.stop(), DRAIN);
  }

  /** What a tab says to its master. */
  hear(from: string, body: ToMaster): void {
    switch (body[0]) {
      case "hello":
        return this.hello(from, body[1], body[2]);
      case "request":
        return this.request(from, body[1], body[2]);
      case "abort":
        return this.flights.get(`${from} ${body[1]}`)?.abort();
      case "handled":
        return this.handled(from, body[1]);
      case "reconnect":
        return this.link.restart(this.options);
    }
  }

  /** What a tab says about itself. A new one is told how things are. */
  private hello(id: string, channels: readonly string[], awake: boolean): void {
    const { host } = this;
    const known = this.tabs.get(id);
    const isNew = !known && id !== host.id;
    const unwatch = isNew ? host.watch?.(id, () => this.gone(id)) : known?.unwatch;
    this.tabs.set(id, { channels, awake, unanswered: 0, unwatch });
    if (isNew) host.post(id, "status", host.term, toBusStatus(this.link.status));
    // The user may have loaded the page again because it was refused.
    if (isNew && this.link.status.state === "refused") this.link.restart(this.options);
    this.tellChannels();
  }

  /** A tab left. */
  bye(id: string): void {
    const tab = this.tabs.get(id);
    if (!tab) return;
    tab.unwatch?.();
    this.tabs.delete(id);
    for (const number of [...this.waits.keys()]) this.handled(id, number);
    this.tellChannels();
  }

  /** Calls the roll; tabs that left several unanswered have ended. Only needed where they cannot be watched. */
  roll(): boolean {
    if (this.host.watch) return false;
    for (const [id, tab] of [...this.tabs]) {
      if (id === this.host.id) continue;
      tab.unanswered += 1;
      if (tab.unanswered > UNANSWERED_MAX) this.bye(id);
    }
    return true;
  }

  /** The handlers of a tab are done with a private message. */
  private handled(id: string, number: number): void {
    const tab = this.tabs.get(id);
    if (tab) tab.awake = true;
    const wait = this.waits.get(number);
    wait?.left.delete(id);
    if (wait?.left.size === 0) this.endWait(number);
  }

  private endWait(number: number): void {
    const wait = this.waits.get(number);
    this.waits.delete(number);
    wait?.cancel();
    wait?.resolve();
  }

  /** Asks for a tab. It may ask twice, if it is not sure to have been heard. */
  private request(tab: string, id: number, command: Command): void {
    const key = `${tab} ${id}`;
    if (this.flights.has(key)) return;
    const abort = new AbortController();
    this.flights.set(key, abort);
    // Not before: it may have been taken back while this tab was frozen.
    this.host.whenSure(() => {
      if (abort.signal.aborted) this.flights.delete(key);
      else this.ask(tab, id, command, abort.signal);
    });
  }

  private ask(tab: string, id: number, command: Command, signal: AbortSignal): void {
    const key = `${tab} ${id}`;
    void this.link.request(command, signal).then(
      (answer) => {
        this.flights.delete(key);
        if (command.kind === "send" && !this.closed) this.echo(tab, command, answer as Answers["send"]);
        this.settle(tab, id, answer);
      },
      (error: CometError) => {
        this.flights.delete(key);
        // What failed because this mastership ended is asked again by its tab.
        if (!this.closed) this.settle(tab, id, error);
      },
    );
  }

  private settle(tab: string, id: number, outcome: Answer | CometError): void {
    if (tab === this.host.id) this.host.page.settle(id, outcome);
    else if (outcome instanceof CometError) this.host.post(tab, "failed", id, outcome.code, outcome.message);
    else this.host.post(tab, "answer", id, outcome);
  }

  receive(message: Incoming): Promise<unknown> | undefined {
    if (message.pipe === "msg") {
      // What is too late comes again to the next master: no time limit may acknowledge it here.
      return new Promise<unknown>((resolve) => this.whenSure(() => resolve(this.receivePrivate(message)), () => this.link.stop()));
    }
    const pass = () => void this.distribute(message, 0, "", "");
    // Late, the next master may not have got it; with an id nobody takes it twice.
    this.whenSure(pass, message.uuid ? pass : undefined);
    return undefined;
  }

  /** A replaced master is not sure any more. */
  private whenSure(then: () => void, late?: () => void): void {
    if (this.closed) late?.();
    else this.host.whenSure(then, late);
  }

  private receivePrivate(message: Incoming): Promise<void> {
    const number = (this.numbers += 1);
    const left = new Set([...this.tabs].filter(([, { awake }]) => awake).map(([id]) => id));
    return new Promise((resolve) => {
      const cancel = this.host.edges.timer(() => this.giveUp(number, left), PATIENCE_ACK);
      this.waits.set(number, { left, cancel, resolve });
      void Promise.resolve(this.distribute(message, number, "", "")).then(() => this.handled(this.host.id, number));
    });
  }

  private giveUp(number: number, left: ReadonlySet<string>): void {
    for (const id of left) {
      const tab = this.tabs.get(id);
      if (tab && id !== this.host.id) tab.awake = false;
    }
    this.endWait(number);
  }

  /**
   * The server does not send a message back over the connection it came from (protocol.md 2.6.2), which is that of all
   * tabs. With a connection each, the other tabs would get it; so they do, under its own id if it has one: a tab that
   * gets it from elsewhere too has it once.
   */
  private echo(
    tab: string, { channel, event, body, anonymous, sendKey }: Extract<Command, { kind: "send" }>, answer: Answers["send"],
  ): void {
    const uuid = typeof answer.uuid === "string" ? answer.uuid : undefined;
    const sender = !anonymous && this.link.status.authorized ? Number(this.options.userId) || 0 : 0;
    const time = Math.floor(this.host.edges.wallClock() / 1000);
    const message = {
      pipe: channel, event, data: parseBody(body), userId: sender, history: false, fromQueue: false, uuid, time,
    };
    this.distribute(message, 0, sendKey, tab);
  }

  private distribute(message: Incoming, number: number, key: string, except: string): Promise<unknown> | undefined {
    // Also if no other tab is known: a young master has not heard from all of them yet.
    this.host.post("", "message", number, key, except, message);
    return except === this.host.id ? undefined : this.host.page.deliver(message, key);
  }

  status(status: Status): void {
    if (this.closed) return;
    this.host.post("", "status", this.host.term, toBusStatus(status));
    this.host.page.status(status);
  }

  error(error: CometError): void {
    if (this.closed) return;
    this.host.post("", "error", this.host.term, error.code, error.message);
    this.host.page.error(error);
  }

  private tellChannels(): void {
    if (!this.closed) this.link.channels([...new Set([...this.tabs.values()].flatMap(({ channels }) => channels))]);
  }

  /** The browser says that a tab has ended. Should that be wrong, the tab is asked to say so. */
  private gone(id: string): void {
    this.bye(id);
    this.host.post(id, "beat", this.host.term, this.host.edges.now(), true);
  }
}

function parseBody(body: string): unknown {
  const value = attempt(() => JSON.parse(body) as unknown);
  return value === undefined ? body : value;
}
