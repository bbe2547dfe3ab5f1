// One connection per browser when everything happens at once: tabs open, close, crash, freeze, wake, hide, change what
// they want and who they are, at times a seed decides. After every step the promises are checked.
//
// Promises watched: at most one tab is master, whoever asks (S60); a master within a second; each message once per tab
// that wants it, and none lost while nothing goes wrong; each request one answer; the server is told the union.

import { describe, expect, test } from "vitest";
import { CometError } from "../src/errors.js";
import { PATIENCE_ACK } from "../src/tabs/master.js";
import { Browser, OPTIONS, Page, WAYS } from "./tabs_pages.js";
import { Random, type Features } from "./tabs_sim.js";

const CHANNELS = ["a", "b", "c"];
const SEEDS = 60;
/** So long before and after a message nothing may go wrong, if it is to arrive for certain. */
const QUIET = 1_500;

interface Sent {
  readonly data: string;
  readonly at: number;
  /** undefined: private. */
  readonly channel: string | undefined;
  readonly sender: Page | undefined;
}

/** One run: a story that the seed tells, and what it must have led to. */
class Run {
  readonly browser: Browser;
  private readonly random: Random;
  private readonly sent: Sent[] = [];
  private readonly troubles: number[] = [];
  private masterAt = 0;
  private numbers = 0;
  private readonly observing: number;

  constructor(seed: number, readonly features: Features) {
    this.browser = new Browser(seed, features);
    this.random = new Random(seed * 7 + 1);
    // Whoever asks makes the master look after itself, so not everybody asks all the time.
    this.observing = this.random.pick([3, 30, 100]) ?? 100;
    this.browser.world.check = () => this.check();
  }

  async tell(): Promise<void> {
    for (let step = 0; step < 60; step += 1) {
      this.act();
      const calm = this.random.chance(15) ? 5_000 : this.random.below(600);
      await this.browser.run(calm);
    }
    this.heal();
    await this.browser.run(30_000);
    this.finish();
  }

  private get pages(): Page[] {
    return this.browser.pages.filter((page) => page.tab.alive);
  }

  private get now(): number {
    return this.browser.world.now;
  }

  private trouble(page?: Page): void {
    if (page) page.runsSince = this.now;
    this.troubles.push(this.now);
    this.masterAt = this.now;
  }

  private act(): void {
    const page = this.random.pick(this.pages);
    const runs = page?.active ? page : undefined;
    const kind = this.random.below(100);
    if (!page || (kind < 12 && this.pages.length < 6)) this.open();
    else if (kind < 40) this.lifeOf(page, kind);
    else if (kind < 50) runs?.want(...CHANNELS.filter(() => this.random.chance(50)));
    else if (kind < 60) this.whoIs(page, kind);
    else if (kind < 75) this.publish(undefined);
    else if (kind < 82) this.private();
    else if (kind < 92) this.publish(runs);
    else runs?.ask({ kind: "count", channel: "web_x" });
  }

  private open(): void {
    const page = this.browser.open(...CHANNELS.filter(() => this.random.chance(60)));
    page.tab.hide(this.random.chance(40));
    const late = this.random.below(400);
    page.handle = () => new Promise((resolve) => page.tab.edges.timer(() => resolve(undefined), late));
    this.trouble(page);
  }

  private lifeOf(page: Page, kind: number): void {
    this.trouble(page);
    if (kind < 16) page.close();
    else if (kind < 20) page.crash();
    else if (kind < 24 && !page.tab.frozen) page.tab.freeze(true);
    else if (kind < 29 && !page.tab.frozen) page.tab.freeze(false);
    else if (page.tab.frozen) page.tab.wake();
    else page.tab.hide(!page.tab.hidden);
  }

  private whoIs(page: Page, kind: number): void {
    if (!page.tab.runs) return;
    this.trouble(page);
    if (kind < 52 && page.options) {
      page.options = undefined;
      page.link.stop();
    } else if (kind < 55) page.start({ ...OPTIONS, statistics: true });
    else if (kind < 57) page.link.restart((page.options = { ...OPTIONS, userKey: "another" }));
    else if (kind < 59) page.link.restart((page.options = OPTIONS));
    else {
      page.tab.event("pagehide");
      page.tab.event("pageshow");
    }
  }

  private publish(sender: Page | undefined): void {
    const data = `m${(this.numbers += 1)}`;
    const channel = this.random.pick(CHANNELS) ?? "a";
    this.sent.push({ data, at: this.now, channel, sender });
    if (sender) sender.send(channel, data);
    else this.browser.server.publish(channel, data, this.random.chance(50));
  }

  private private(): void {
    const data = `p${(this.numbers += 1)}`;
    this.sent.push({ data, at: this.now, channel: undefined, sender: undefined });
    this.browser.server.private(data);
  }

  /** After every step. */
  private check(): void {
    if (!this.random.chance(this.observing)) return;
    const groups = new Map<string, number>();
    for (const page of this.browser.masters()) {
      const key = page.options?.userKey ?? "";
      groups.set(key, (groups.get(key) ?? 0) + 1);
    }
    for (const count of groups.values()) if (count > 1) throw new Error(`S60: ${count} masters`);
    const waiting = this.pages.filter((page) => page.active && !page.tab.hidden && !groups.has(page.options?.userKey ?? ""));
    if (waiting.length === 0) this.masterAt = this.now;
    // Without locks a record in the store needs time to settle, and hidden tabs measure it in full seconds.
    const limit = this.features.locks || !this.pages.some((page) => page.active && page.tab.hidden) ? 1_000 : 3_000;
    if (this.now - this.masterAt >= limit) throw new Error(`${limit} ms without master`);
  }

  private heal(): void {
    for (const page of this.pages) {
      page.tab.wake();
      if (!page.options) page.start();
      page.tab.hide(false);
      this.trouble(page);
    }
    if (this.pages.length === 0) this.open();
  }

  private finish(): void {
    this.checkMessages();
    this.checkRequests();
    expect(this.browser.server.owed, "private messages not acknowledged").toEqual([]);
    for (const key of new Set(this.pages.map((page) => page.options?.userKey))) {
      const links = [...this.browser.server.connections].filter(({ options }) => options?.userKey === key);
      expect(links, "connections").toHaveLength(1);
      const group = this.pages.filter(({ options }) => options?.userKey === key);
      const union = new Set(group.flatMap((page) => [...page.wanted.keys()]));
      expect([...(links[0]?.told ?? [])].sort(), "union").toEqual([...union].sort());
      expect(group.filter(({ master }) => master === false)).toHaveLength(group.length - 1);
    }
  }

  private checkMessages(): void {
    for (const page of this.browser.pages) {
      for (const [data, times] of page.seen) expect(times, `${data} at tab ${page.tab.number}`).toBe(1);
    }
    for (const message of this.sent) {
      const { at, channel, data, sender } = message;
      const after = channel === undefined ? PATIENCE_ACK + QUIET : QUIET;
      if (this.troubles.some((trouble) => trouble > at - QUIET && trouble < at + after)) continue;
      for (const page of this.pages) {
        const since = channel === undefined ? page.runsSince : page.wanted.get(channel) ?? Infinity;
        if (!page.active || Math.max(since, page.runsSince) > at - QUIET) continue;
        const other = sender && sender.options?.userKey !== page.options?.userKey;
        const expected = page === sender ? undefined : 1;
        if (!other) expect(page.seen.get(data), `${data} at tab ${page.tab.number}`).toBe(expected);
      }
    }
  }

  private checkRequests(): void {
    for (const page of this.browser.pages) {
      for (const outcomes of page.outcomes.values()) {
        expect(outcomes.length, "answers").toBeLessThanOrEqual(1);
        if (page.tab.alive) expect(outcomes, "answers").toHaveLength(1);
        const [outcome] = outcomes;
        if (outcome instanceof CometError) expect(outcome.code).toBe("stopped");
      }
    }
  }
}

describe.each(Object.entries(WAYS))("%s", (_, features) => {
  test(`S60 S61: ${SEEDS} stories`, async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const run = new Run(seed, features);
      try {
        await run.tell();
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  }, 60_000);
});
