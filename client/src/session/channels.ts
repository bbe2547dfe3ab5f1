// The channels the page wants, and what this connection's server was told about them.
//
// Promises the complete set after every connection (S67), the difference afterwards, and each refusal by name. Must never
// know who in the page wants which channel.

import { CometError } from "../errors.js";
import { isChannel, readRefused, type ChannelCommand, type Refused } from "../wire.js";

/** After "too many commands" nothing is told for so long, milliseconds. */
const PAUSE = 1_000;
const NONE: ReadonlySet<string> = new Set();

export class Channels {
  private wanted = NONE;
  private told = NONE;
  /** `wanted` and `told` differ. */
  private changed = false;
  /** Some names were refused: the next change tells everything, for there may be room or permission now. */
  private complete = false;
  private pausedUntil = 0;
  /** Commands without result. */
  private readonly asked = new Set<number>();

  /** The complete set; the result is what is wrong with it. */
  want(names: readonly string[]): CometError[] {
    this.wanted = new Set(names.filter(isChannel));
    this.compare();
    return names.filter((name) => !isChannel(name)).map((name) => refusal({ name, code: "bad_channel" }));
  }

  /** True if the server has to be told something. */
  due(now: number): boolean {
    return this.changed && now >= this.pausedUntil;
  }

  /** When `due` becomes true by itself; Infinity: never. */
  dueAt(): number {
    return this.changed && this.pausedUntil > 0 ? this.pausedUntil : Infinity;
  }

  /** What makes the server know what is wanted. Counts as said. */
  commands(): ChannelCommand[] {
    const { wanted, told } = this;
    const complete = this.complete || told.size === 0;
    this.told = wanted;
    this.changed = this.complete = false;
    this.pausedUntil = 0;
    if (complete) return [{ kind: "subscription", names: [...wanted] }];
    const added = [...wanted].filter((name) => !told.has(name));
    const removed = [...told].filter((name) => !wanted.has(name));
    const commands: ChannelCommand[] = [{ kind: "unsubscribe", names: removed }, { kind: "subscribe", names: added }];
    return commands.filter((command) => command.names.length > 0);
  }

  /** One of the commands left under this number. */
  ask(number: number): void {
    this.asked.add(number);
  }

  /** True if that is the number of one of them. */
  has(re: number): boolean {
    return this.asked.has(re);
  }

  /** Their result. */
  result(re: number, data: unknown): CometError[] | undefined {
    const refused = readRefused(data);
    if (!refused) return undefined;
    this.asked.delete(re);
    if (refused.length > 0) this.complete = true;
    return refused.map(refusal);
  }

  /** Their failure; undefined if it was no command of ours. Too many commands only means: later. */
  error(re: number, error: CometError, now: number): CometError[] | undefined {
    if (!this.asked.delete(re)) return undefined;
    if (error.code !== "too_many_commands") return [error];
    // Nothing that is wanted equals it.
    this.told = new Set([""]);
    this.complete = this.changed = true;
    this.pausedUntil = now + PAUSE;
    return [];
  }

  /** The connection ended; the next one knows nothing. */
  ended(): void {
    this.asked.clear();
    this.told = NONE;
    this.complete = false;
    this.pausedUntil = 0;
    this.compare();
  }

  private compare(): void {
    this.changed = this.wanted.size !== this.told.size || [...this.wanted].some((name) => !this.told.has(name));
  }
}

/** A refused channel as an error for the page. */
function refusal({ name, code }: Refused): CometError {
  return new CometError(code, `refused: ${name || "more channels"}`);
}
