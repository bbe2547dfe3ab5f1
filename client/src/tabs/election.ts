// Who may be master: an arbiter outside of the tabs, so that two tabs that cannot hear each other do not both believe it.
//
// Promises that at most one tab of a group is told `won` without being told `lost` or asked to leave since, as far as
// the browser keeps its own promises. Must never know what a master does.

import type { CommonStore, Locks, TabEdges } from "./edges.js";

export interface Election {
  /** Takes part from now on; also after `lost`, which ends it. */
  enter(): void;
  /** The master does not answer: takes its place. */
  take(): void;
  /** That tab, the master, said that it leaves. Missing: nobody needs to tell. */
  vacant?(leaver: string): void;
  /** Another one is master although this tab had won: goes behind it. */
  yield(): void;
  /** Takes no part until `enter`; frees the place. */
  leave(): void;
  /** This tab is no member any more. */
  end(): void;
  /** False: certainly not the winner any more, even if nobody has said so yet. */
  holds(): boolean;
  /** Calls `gone` when that tab has ended; the result stops it. undefined: there is no way to know. */
  readonly watch: ((tab: string, gone: () => void) => () => void) | undefined;
}

export interface Candidate {
  readonly id: string;
  won(): void;
  /** `enter` again, but not at once. */
  lost(): void;
  /** There is no arbiter, although the browser seemed to have one. */
  refused(): void;
}

/** By Web Locks: the browser frees the lock of a page that ends, however it ends, and grants it to the next at once. */
export class LockElection implements Election {
  private free: (() => void) | undefined;
  private freeOwn: (() => void) | undefined;

  constructor(private readonly locks: Locks, private readonly name: string, private readonly candidate: Candidate) {}

  enter(): void {
    // Held as long as this tab lives: see watch.
    this.freeOwn = this.freeOwn ?? this.locks.hold(this.own(this.candidate.id), false, () => undefined, () => undefined);
    this.ask(false);
  }

  take(): void {
    this.ask(true);
  }

  yield(): void {
    this.ask(false);
  }

  leave(): void {
    this.free?.();
    this.free = undefined;
  }

  end(): void {
    this.leave();
    this.freeOwn?.();
  }

  holds(): boolean {
    return true;
  }

  readonly watch = (tab: string, gone: () => void): (() => void) => {
    let free: () => void = () => undefined;
    free = this.locks.hold(this.own(tab), false, () => {
      free();
      gone();
    }, () => undefined);
    return free;
  };

  private own(tab: string): string {
    return `${this.name}/${tab}`;
  }

  private ask(steal: boolean): void {
    this.free?.();
    // A lock that nobody had yet cannot be stolen: a browser that blocks site data refuses every one.
    let stolen = steal;
    this.free = this.locks.hold(this.name, steal, () => {
      stolen = true;
      this.candidate.won();
    }, () => {
      this.free = undefined;
      if (stolen) this.candidate.lost();
      else this.candidate.refused();
    });
  }
}

/** A record in the store is believed after this time: by then all tabs see the last one written. Milliseconds. */
export const SETTLE = 100;

/**
 * Where there are no Web Locks (plain http), in the spirit of protocol.md 9.5: the last one that wrote his id into the
 * store has won. A master that is gone without a word is noticed by its silence (member.ts), 0.9 s instead of 9.5's 1.2 s.
 */
export class StoreElection implements Election {
  private cancel: () => void = () => undefined;
  /** The own record is too young to be believed. */
  private settling = false;
  readonly watch = undefined;

  constructor(
    private readonly store: CommonStore, private readonly timer: TabEdges["timer"],
    private readonly name: string, private readonly candidate: Candidate,
  ) {}

  enter(): void {
    this.vacant(this.candidate.id);
  }

  take(): void {
    this.cancel();
    this.store.set(this.name, this.candidate.id);
    // A full store forgets.
    if (!this.isMine()) return this.candidate.refused();
    this.settling = true;
    this.cancel = this.timer(() => {
      this.settling = false;
      if (this.holds()) this.candidate.won();
    }, SETTLE);
  }

  vacant(leaver: string): void {
    const owner = this.store.get(this.name) ?? leaver;
    if (owner === leaver || owner === this.candidate.id) this.take();
  }

  yield(): void {
    this.cancel();
  }

  leave(): void {
    this.cancel();
    if (this.isMine()) this.store.remove(this.name);
  }

  end(): void {
    this.leave();
  }

  holds(): boolean {
    return !this.settling && this.isMine();
  }

  private isMine(): boolean {
    return this.store.get(this.name) === this.candidate.id;
  }
}
