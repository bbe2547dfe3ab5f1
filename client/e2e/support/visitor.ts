// A browser of somebody who looks at the site: its tabs share storage, another visitor's do not. Pages are written as
// customers write them: a script tag with the client file, and calls of cometApi below it.

import type { BrowserContext, CDPSession, Page } from "@playwright/test";
import type { CometServerApi, LegacyMessage } from "../../src/legacy.js";
import type { Comet } from "../../src/api.js";
import { pause } from "./stream.js";
import type { Site } from "./site.js";
import type { Tenant } from "./tenant.js";

declare global {
  interface Window {
    cometApi: CometServerApi;
    comet: Comet;
    /** What handlers of the page were called with, in order. */
    got: LegacyMessage[];
    /** Names of callbacks in the order they ran. */
    happened: string[];
  }
}

/** Only tells that something will never happen: how long things take is printed, not judged, as machines differ. */
const WAIT_MS = 20_000;

/** What every page has before its own script: where the server is, and where what arrives is written down. */
const prelude = (tenant: Tenant) => `
  var DEV = ${tenant.dev}, NODE = "${tenant.server.node}", SERVER = "${tenant.server.url}", got = [], happened = [];
  function record(message) { got.push(message); }
  function note(name) { return function () { happened.push(name); }; }`;

export class Visitor {
  constructor(readonly context: BrowserContext, private readonly site: Site, private readonly tenant: Tenant) {}

  /** A tab with a page in the old style: the file from the server's host, then `script`. */
  async open(script: string, host = "127.0.0.1"): Promise<Page> {
    return this.visit(this.publish(script), host);
  }

  /** Puts such a page on the site and returns its path, for tabs that all show the same one. */
  publish(script: string): string {
    const { tenant } = this;
    return this.site.publish(`<!doctype html><title>A page of a customer</title>
<script src="${tenant.server.url}/CometServerApi.js"></script>
<script>${prelude(tenant)}</script>
<script>${script}</script>`);
  }

  /** A tab with a page that imports the ES module as `createComet`. */
  async openModern(script: string, host = "127.0.0.1"): Promise<Page> {
    const { tenant } = this;
    const path = this.site.publish(`<!doctype html><title>A new page</title>
<script>${prelude(tenant)}</script>
<script type="module">
import { createComet, CometError } from "${tenant.server.url}/comet-client.js";
${script}
window.ready = true;
</script>`);
    const page = await this.visit(path, host);
    await page.waitForFunction("window.ready === true");
    return page;
  }

  async visit(path: string, host = "127.0.0.1"): Promise<Page> {
    const page = await this.context.newPage();
    await page.goto(`http://${host}:${this.site.port}${path}`);
    return page;
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}

/** Waits for a JavaScript condition in the page; `got` and `happened` are told if it never holds. */
export async function until(page: Page, condition: string): Promise<void> {
  const end = Date.now() + WAIT_MS;
  // Asked from here, because the timers of hidden tabs are slow.
  while (!(await page.evaluate<boolean>(`!!(${condition})`))) {
    if (Date.now() > end) {
      const state = await page.evaluate(() => JSON.stringify({ got: window.got, happened: window.happened }));
      throw new Error(`never came true: ${condition}; the page has ${state.slice(0, 2000)}`);
    }
    await pause(10);
  }
}

/** What the page got, once it is at least `count` messages. */
export async function received(page: Page, count: number): Promise<LegacyMessage[]> {
  await until(page, `got.length >= ${count}`);
  return page.evaluate(() => window.got);
}

/** `data` of what the page got. */
export async function bodies(page: Page, count: number): Promise<unknown[]> {
  return (await received(page, count)).map(({ data }) => data);
}

/** Once the page has its connection, and the callbacks told whether it is authorized. */
export async function connected(page: Page): Promise<void> {
  await until(page, "cometApi.isConnected()");
}

/** The browser kills the process of the page: nothing of it runs any more, nothing says goodbye. */
export async function crash(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent("crash");
  // The answer cannot come.
  session.send("Page.crash").catch(() => undefined);
  await crashed;
}

/** The same for a page that hangs in a loop, which hears nothing: its process is the one that is busy all the time. */
export async function crashBusy(page: Page): Promise<void> {
  const browser = page.context().browser();
  if (!browser) throw new Error("the page has no browser");
  const session = await browser.newBrowserCDPSession();
  const busiest = async () => {
    const [before, after] = [await cpuTimes(session), await pause(150).then(() => cpuTimes(session))];
    const spent = [...after].map(([id, time]) => ({ id, seconds: time - (before.get(id) ?? time) }));
    return spent.reduce((most, one) => (one.seconds > most.seconds ? one : most));
  };
  let [candidate, times] = [await busiest(), 0];
  while (times < 3) {
    const next = await busiest();
    times = next.id === candidate.id && next.seconds > 0.03 ? times + 1 : 0;
    candidate = next;
  }
  const crashed = page.waitForEvent("crash");
  process.kill(candidate.id, "SIGKILL");
  await crashed;
  await session.detach();
}

/** Of the processes of pages: id -> seconds. */
async function cpuTimes(session: CDPSession): Promise<Map<number, number>> {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return new Map(processInfo.filter(({ type }) => type === "renderer").map(({ id, cpuTime }) => [id, cpuTime]));
}

/** The page stays in memory and nothing of it runs, as when a laptop sleeps. Returns what wakes it. */
export async function freeze(page: Page): Promise<() => Promise<void>> {
  const session: CDPSession = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  return async () => {
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await session.detach();
  };
}
