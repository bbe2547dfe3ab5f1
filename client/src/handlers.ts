// Who in the page wants what: handlers by signal, and from them the channels the server has to be told.
//
// Promises: a handler gets an emission at most once however many of its names match; a handler that throws or rejects
// never keeps it from the others; a handler removed during an emission is not called any more.
// Knows nothing of frames, links or the shape of what it hands on.

/** Signals and channels behind the first argument of `subscription` and `on` (protocol.md 9.3). */
export interface Names {
  readonly signals: readonly string[];
  /** Those the server has to be told. */
  readonly channels: readonly string[];
}

/** Pseudo-channels of protocol.md 2.7 and 3: served by the client itself, never subscribed at the server. */
const LOCAL = /^(msg|sys)$|^_answer|^answer_to_web_/;

/**
 * `channel` (S26), `channel.event` (S30), `#channel` (S31), `msg` and `msg.event` (S13, S14), "" for everything, or several
 * of them joined by LF (S66). undefined: malformed. Names up to the longest work (S27), also discouraged ones (S34).
 */
export function parseNames(text: string): Names | undefined {
  const signals: string[] = [];
  const channels: string[] = [];
  for (const name of text.trim().split(/\s*\n\s*/)) {
    const [, report, channel = "", event = ""] = /^(#|_answer_to_)?([\w-]{2,64})(\.[\w-]{1,64})?$/.exec(name) ?? [];
    if (name !== "" && channel === "") return undefined;
    signals.push((report ? "_answer_to_" : "") + channel + event);
    if (channel !== "" && !report && !LOCAL.test(channel)) channels.push(channel);
  }
  return { signals, channels };
}

interface Entry<A> extends Names {
  readonly handle: (argument: A) => unknown;
}

export class Handlers<A> {
  private readonly entries = new Map<string, Entry<A>>();
  private issued = 0;

  /** `report` is told what handlers throw; it must not throw. */
  constructor(private readonly report: (error: unknown) => void) {}

  /** Returns the id, `label&&number` (protocol.md 9.3); numbers are never used again. */
  add(label: string, names: Names, handle: (argument: A) => unknown): string {
    this.issued += 1;
    const id = label + "&&" + this.issued;
    this.entries.set(id, { ...names, handle });
    return id;
  }

  /** False if there is no such handler. */
  remove(id: string): boolean {
    return this.entries.delete(id);
  }

  clear(): void {
    this.entries.clear();
  }

  has(label: string, handle: (argument: A) => unknown): boolean {
    return [...this.entries].some(([id, entry]) => entry.handle === handle && id.startsWith(label + "&&"));
  }

  /** What the present handlers need of the server, in the order of their registration. */
  channels(): string[] {
    const all = new Set<string>();
    for (const entry of this.entries.values()) entry.channels.forEach((channel) => all.add(channel));
    return [...all];
  }

  /**
   * Calls the handlers of the signals in that order. What it returns settles when all of them have; undefined: they
   * have already.
   */
  emit(signals: readonly string[], argument: A): Promise<unknown> | undefined {
    const ids = new Set<string>();
    for (const signal of signals) {
      this.entries.forEach((entry, id) => entry.signals.includes(signal) && ids.add(id));
    }
    const waits: Promise<unknown>[] = [];
    for (const id of ids) {
      const entry = this.entries.get(id);
      const wait = entry && this.call(entry.handle, argument);
      if (wait) waits.push(wait);
    }
    return waits.length > 0 ? Promise.all(waits) : undefined;
  }

  /** Calls one handler; its failure goes to `report`. */
  call(handle: (argument: A) => unknown, argument: A): Promise<unknown> | undefined {
    try {
      const result = handle(argument) as PromiseLike<unknown> | null | undefined;
      if (typeof result?.then === "function") return Promise.resolve(result).catch(this.report);
    } catch (error) {
      this.report(error);
    }
    return undefined;
  }
}
