// Which messages have been here before, and which private messages a connection still owes an acknowledgement.
//
// Promises that a message with an id reaches the page once however often and over however many connections it comes
// (protocol-v5.md 2), and that acknowledgements are given in the order of arrival (protocol-v5.md 4). Must never know
// what is in a message.

/** So many ids are remembered. */
const SEEN_MAX = 65_536;

/** Ids that were seen by this page. Shared by all connections of a link. */
export class Seen {
  /** In order of arrival. True: the page has finished with it. */
  private readonly ids = new Map<string, boolean>();

  /** True the first time. */
  add(uuid: string): boolean {
    if (this.ids.has(uuid)) return false;
    this.ids.set(uuid, false);
    const [oldest = ""] = this.ids.keys();
    if (this.ids.size > SEEN_MAX) this.ids.delete(oldest);
    return true;
  }

  done(uuid: string): void {
    if (this.ids.has(uuid)) this.ids.set(uuid, true);
  }

  /** A forgotten one is long done. */
  isDone(uuid: string): boolean {
    return this.ids.get(uuid) ?? true;
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
