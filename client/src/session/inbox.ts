// Which messages have been here before, and which private messages a connection still owes an acknowledgement.
//
// Promises that a message with an id reaches the page once however often and over however many connections it comes
// (protocol-v5.md 2), and that acknowledgements are given in the order of arrival (protocol-v5.md 4). Must never know
// what is in a message.

/** So many ids are remembered however old they are. */
const AT_LEAST = 4_096;
/** All ids are remembered for so long, milliseconds, ... */
const AGE = 600_000;
/** ... but never more than so many. */
const AT_MOST = 65_536;

/** Ids that were seen by this page. Shared by all connections of a link. */
export class Seen {
  /** In order of arrival. `done`: the page has finished with it. */
  private readonly ids = new Map<string, { readonly at: number; done: boolean }>();

  /** True the first time. */
  add(uuid: string, now: number): boolean {
    if (this.ids.has(uuid)) return false;
    this.ids.set(uuid, { at: now, done: false });
    for (const [oldest, { at }] of this.ids) {
      if (this.ids.size <= AT_LEAST || (now - at <= AGE && this.ids.size <= AT_MOST)) break;
      this.ids.delete(oldest);
    }
    return true;
  }

  done(uuid: string): void {
    const known = this.ids.get(uuid);
    if (known) known.done = true;
  }

  /** A forgotten one is long done. */
  isDone(uuid: string): boolean {
    return this.ids.get(uuid)?.done ?? true;
  }
}

/** What one connection has to acknowledge, in the order in which it came over it. */
export class Owed {
  private uuids: string[] = [];

  constructor(private readonly seen: Seen) {}

  add(uuid: string): void {
    this.uuids.push(uuid);
  }

  /** True if there is something to acknowledge now. */
  due(): boolean {
    const first = this.uuids[0];
    return first !== undefined && this.seen.isDone(first);
  }

  /** The newest id such that it and all before it are done: one acknowledgement covers them. */
  take(): string | undefined {
    let last: string | undefined;
    while (this.due()) last = this.uuids.shift();
    return last;
  }

  /** The connection is gone; its server sends again what it is owed. */
  clear(): void {
    this.uuids = [];
  }
}
