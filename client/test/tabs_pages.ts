// Pages in the tabs of a simulated browser: each has a SharedLink and remembers what it saw. The words in which the
// tests of tabs are written.

import type { Answer, LinkOptions, Status } from "../src/types.js";
import { CometError } from "../src/errors.js";
import { SharedLink } from "../src/tabs/shared_link.js";
import { FakeLink, Server } from "./tabs_server.js";
import { World, type Features, type SimTab } from "./tabs_sim.js";

export const OPTIONS: LinkOptions = {
  nodes: ["ws://h"], devId: "1", userId: "7", userKey: "secret-key", uuid: "browser", chosen: false, statistics: false,
};

export class Page {
  readonly tab: SimTab;
  readonly link: SharedLink;
  /** How often each message came. */
  readonly seen = new Map<string, number>();
  /** In the order of coming; the master as the page saw it in its handler. */
  readonly log: { readonly data: string; readonly master: boolean | undefined }[] = [];
  readonly statuses: Status[] = [];
  readonly links: FakeLink[] = [];
  readonly outcomes = new Map<number, (Answer | CometError)[]>();
  /** Channel -> since when. */
  wanted = new Map<string, number>();
  /** Since when it runs without a break. */
  runsSince: number;
  /** What the handler of a private message returns. */
  handle: (data: string) => void | Promise<unknown> = () => undefined;
  options: LinkOptions | undefined;
  private asked = 0;
  private hearStatus: (status: Status) => void = () => undefined;

  constructor(readonly browser: Browser) {
    const { world } = browser;
    this.tab = world.open();
    this.runsSince = world.now;
    this.link = new SharedLink(
      {
        receive: (message) => {
          const data = String(message.data);
          this.seen.set(data, (this.seen.get(data) ?? 0) + 1);
          this.log.push({ data, master: this.link.status.master });
          return message.pipe === "msg" ? this.handle(data) : undefined;
        },
        status: (status) => {
          this.statuses.push(status);
          this.hearStatus(status);
        },
        error: () => undefined,
      },
      (handler) => {
        const link = new FakeLink(this.tab, browser.server, handler);
        this.links.push(link);
        return link;
      },
      this.tab.edges,
    );
  }

  onStatus(heard: (status: Status, page: Page) => void): void {
    this.hearStatus = (status) => heard(status, this);
  }

  get master(): boolean | undefined {
    return this.link.status.master;
  }

  get active(): boolean {
    return this.tab.runs && this.options !== undefined;
  }

  start(options = OPTIONS): this {
    this.options = options;
    this.link.start(options);
    return this;
  }

  want(...names: string[]): this {
    this.wanted = new Map(names.map((name) => [name, this.wanted.get(name) ?? this.browser.world.now]));
    this.link.channels(names);
    return this;
  }

  /** Number of the request; `outcomes` tells what became of it. */
  ask(command: Parameters<SharedLink["request"]>[0], signal?: AbortSignal): number {
    const number = (this.asked += 1);
    const outcomes: (Answer | CometError)[] = [];
    this.outcomes.set(number, outcomes);
    this.link.request(command, signal).then((answer) => outcomes.push(answer), (error: CometError) => outcomes.push(error));
    return number;
  }

  send(channel: string, body: string): number {
    const sendKey = `tab${this.tab.number}-${this.asked}`;
    return this.ask({ kind: "send", channel, anonymous: false, event: "", body, sendKey });
  }

  crash(): void {
    this.tab.crash();
    for (const link of this.links) link.cut();
  }

  close(): void {
    this.tab.close();
    for (const link of this.links) link.cut();
  }
}

export class Browser {
  readonly world: World;
  readonly server: Server;
  readonly pages: Page[] = [];

  constructor(seed: number, features: Features) {
    this.world = new World(seed, features);
    this.server = new Server(this.world);
  }

  open(...channels: string[]): Page {
    const page = new Page(this);
    this.pages.push(page);
    return page.want(...channels).start();
  }

  run(ms: number): Promise<void> {
    return this.world.run(ms);
  }

  /** The pages that can be asked and say that they are master. */
  masters(): Page[] {
    return this.pages.filter((page) => page.active && page.master === true);
  }
}

export const WAYS: Readonly<Record<string, Features>> = {
  "Web Locks, BroadcastChannel": { locks: true, channel: true, store: true },
  "Web Locks, BroadcastChannel, no storage": { locks: true, channel: true, store: false },
  "storage, BroadcastChannel": { locks: false, channel: true, store: true },
  "storage, storage events": { locks: false, channel: false, store: true },
};

/** Three tabs that have settled: their browser, the master, the others. */
export async function threeTabs(features = WAYS["Web Locks, BroadcastChannel"]): Promise<[Browser, Page, Page[]]> {
  if (!features) throw new Error("no such way");
  const browser = new Browser(1, features);
  for (const channel of ["a", "b", "c"]) {
    browser.open("all", channel);
    await browser.run(300);
  }
  const [master] = browser.masters();
  if (!master) throw new Error("no master");
  return [browser, master, browser.pages.filter((page) => page !== master)];
}
