// One connection per browser: S60, S61 and what happens when the tab that holds it goes away. Where there are Web Locks
// (the server on this machine, a site with TLS), and where there are none (a site in plain http).

import type { Page } from "@playwright/test";
import { eventually, expect, subscribed, test } from "./support/test.js";
import { streamTo, upTo } from "./support/stream.js";
import type { Tenant } from "./support/tenant.js";
import { bodies, crash, freeze, received, until, type Visitor } from "./support/visitor.js";

const SCRIPT = `
  cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });
  cometApi.subscription("msg", record);
  cometApi.subscription("news", record);`;

/** Host the site is seen under, and what its pages have. */
const SITES = [["127.0.0.1", "Web Locks"], ["plain.test", "no Web Locks"]] as const;

async function openTabs(tenant: Tenant, visitor: Visitor, count: number, host: string): Promise<Page[]> {
  await tenant.authorize(7, "key7");
  const path = visitor.publish(SCRIPT);
  const first = await visitor.visit(path, host);
  await until(first, "cometApi.isMaster()");
  const pages = [first, ...await Promise.all(upTo(count - 1).map(() => visitor.visit(path, host)))];
  for (const page of pages) await until(page, "cometApi.isConnected() && cometApi.isMaster() !== undefined");
  await oneMaster(pages);
  await subscribed(tenant, "news", 1);
  return pages;
}

async function masters(pages: readonly Page[]): Promise<(boolean | undefined)[]> {
  return Promise.all(pages.map((page) => page.evaluate(() => window.cometApi.isMaster())));
}

/** Exactly one says true, all others say false. Returns it, and the others. */
async function oneMaster(pages: readonly Page[]): Promise<[Page, Page[]]> {
  const sorted = pages.slice(1).map(() => false).concat(true);
  let found: readonly (boolean | undefined)[] = [];
  // A master whose timers were late does not know for a moment whether it still is one.
  await eventually(async () => [...found = await masters(pages)].sort(), "isMaster of the tabs").toEqual(sorted);
  const master = pages.find((_, at) => found[at] === true);
  if (!master) throw new Error("no tab is master");
  return [master, pages.filter((page) => page !== master)];
}

/** Every tab has got every message once, in order. */
async function allGot(pages: readonly Page[], expected: readonly unknown[]): Promise<void> {
  for (const page of pages) expect(await bodies(page, expected.length)).toEqual(expected);
}

for (const [host, kind] of SITES) {
  test.describe(kind, () => {
    for (const count of [2, 5]) {
      test(`S60: ${count} tabs: one master, one connection, everybody gets everything once`, async ({ tenant, visitor }) => {
        const pages = await openTabs(tenant, await visitor(), count, host);
        expect(await tenant.connections()).toBe(1);
        expect(await tenant.subscribers("news")).toHaveLength(1);
        for (const n of upTo(10)) {
          await tenant.publish("news", "n", `news ${n}`);
          await tenant.tell(7, "n", `private ${n}`);
        }
        await tenant.publish("news", "", "end");
        const expected = [...upTo(10).flatMap((n) => [`news ${n}`, `private ${n}`]), "end"];
        await allGot(pages, expected);
        await eventually(() => tenant.unpaid(7)).toBe(0);
        expect(await tenant.connections()).toBe(1);
      });
    }

    const ends: readonly [string, (master: Page) => Promise<unknown>][] = [
      ["closed", (master) => master.close()],
      ["crashed", crash],
      ["sent to another page", (master) => master.goto("about:blank")],
    ];
    for (const [how, end] of ends) {
      test(`S60: the master is ${how}: another tab takes over, no private message is lost or doubled`, async ({ tenant, visitor }, info) => {
        const pages = await openTabs(tenant, await visitor(), 3, host);
        const [master, others] = await oneMaster(pages);
        const stop = streamTo(tenant, 7, 5);
        await received(others[0]!, 5);
        const begin = Date.now();
        await end(master);
        const ended = Date.now();
        await Promise.race(others.map((page) => until(page, "cometApi.isMaster() === true && cometApi.isConnected()")));
        const took = Date.now() - begin;
        info.annotations.push({ type: "hand-over, ms", description: `${took}, of it ${ended - begin} to end the tab` });
        console.log(`hand-over, ${kind}, master ${how}: ${Date.now() - ended} ms after the tab was gone, ${took} ms in all`);
        const sent = await stop();
        await allGot(others, upTo(sent));
        await oneMaster(others);
        await eventually(() => tenant.connections()).toBe(1);
        await tenant.publish("news", "", "end");
        await allGot(others, [...upTo(sent), "end"]);
      });
    }

    test("S60: the master is frozen: another tab takes over, no private message is lost or doubled", async ({ tenant, sleeper }) => {
      const pages = await openTabs(tenant, sleeper, 3, host);
      const [master, others] = await oneMaster(pages);
      const stop = streamTo(tenant, 7, 5);
      await received(others[0]!, 5);
      const begin = Date.now();
      await freeze(master);
      await Promise.race(others.map((page) => until(page, "cometApi.isMaster() === true && cometApi.isConnected()")));
      console.log(`hand-over, ${kind}, master frozen: ${Date.now() - begin} ms`);
      const sent = await stop();
      await allGot(others, upTo(sent));
      await oneMaster(others);
      await eventually(() => tenant.connections()).toBe(1);
    });

    test("S60: tabs in the background elect a master as quickly, although their timers are slow", async ({ tenant, sleeper }) => {
      const pages = await openTabs(tenant, sleeper, 3, host);
      const [master, others] = await oneMaster(pages);
      // Another window is looked at.
      const front = await sleeper.context.newPage();
      await front.bringToFront();
      for (const page of others) await until(page, 'document.visibilityState === "hidden"');
      const begin = Date.now();
      await master.close();
      await Promise.race(others.map((page) => until(page, "cometApi.isMaster() === true && cometApi.isConnected()")));
      console.log(`hand-over, ${kind}, hidden tabs: ${Date.now() - begin} ms`);
      await tenant.tell(7, "n", "0");
      await allGot(others, [0]);
      await oneMaster(others);
    });

    test("a tab that slept wakes up as an ordinary one and gets what it missed of private messages", async ({ tenant, sleeper }) => {
      const pages = await openTabs(tenant, sleeper, 2, host);
      const [master, [other]] = await oneMaster(pages);
      if (!other) throw new Error("two tabs");
      const wake = await freeze(master);
      await until(other, "cometApi.isMaster() === true && cometApi.isConnected()");
      await tenant.publish("news", "", "while it slept");
      expect(await bodies(other, 1)).toEqual(["while it slept"]);
      await wake();
      await oneMaster(pages);
      await eventually(() => tenant.connections()).toBe(1);
      await tenant.publish("news", "", "after");
      await tenant.tell(7, "n", "private");
      expect(await bodies(other, 3)).toEqual(["while it slept", "after", "private"]);
      await until(master, 'got.some(function (m) { return m.data === "private"; })');
      const slept = await master.evaluate(() => window.got.map(({ data }) => data));
      expect(slept.filter((data) => data !== "while it slept")).toEqual(["after", "private"]);
    });

    test("a master that hangs is replaced, and gives way when it is back", async ({ tenant, visitor }) => {
      const pages = await openTabs(tenant, await visitor(), 2, host);
      const [master, [other]] = await oneMaster(pages);
      if (!other) throw new Error("two tabs");
      await master.evaluate("setTimeout(function () { var end = Date.now() + 4000; while (Date.now() < end) {} }, 0)");
      await until(other, "cometApi.isMaster() === true && cometApi.isConnected()");
      await tenant.tell(7, "n", "0");
      expect(await bodies(other, 1)).toEqual([0]);
      await oneMaster(pages);
      await tenant.tell(7, "n", "1");
      await allGot(pages, [0, 1]);
      await eventually(() => tenant.connections()).toBe(1);
    });

    test("S61: only one of several tabs acts on a message", async ({ tenant, visitor }) => {
      await tenant.authorize(7, "key7");
      const browser = await visitor();
      const path = browser.publish(`${SCRIPT}
        cometApi.subscription("msg.sound", function () { if (cometApi.isMaster()) happened.push("sound"); });`);
      const pages = [];
      for (const _ of upTo(3)) pages.push(await browser.visit(path, host));
      await oneMaster(pages);
      for (const n of upTo(4)) await tenant.tell(7, "sound", String(n));
      await allGot(pages, upTo(4));
      const sounds = await Promise.all(pages.map((page) => page.evaluate(() => window.happened.length)));
      expect(sounds.sort()).toEqual([0, 0, 4]);
    });

    test("the server is told the union of what the tabs want, and it shrinks", async ({ tenant, visitor }) => {
      const pages = await openTabs(tenant, await visitor(), 2, host);
      const [first, second] = pages as [Page, Page];
      await first.evaluate('window.a = cometApi.subscription("only_first", record)');
      await second.evaluate('window.b = cometApi.subscription("only_second", record)');
      await subscribed(tenant, "only_first", 1);
      await subscribed(tenant, "only_second", 1);
      await tenant.publish("only_first", "", "1");
      await tenant.publish("only_second", "", "2");
      await tenant.publish("news", "", "end");
      await allGot([first], [1, "end"]);
      await allGot([second], [2, "end"]);
      await first.evaluate("cometApi.unsubscription(window.a)");
      await subscribed(tenant, "only_first", 0);
      await second.close();
      await subscribed(tenant, "only_second", 0);
      await subscribed(tenant, "news", 1);
    });

    test("every tab can send and ask, whoever holds the connection", async ({ tenant, visitor }) => {
      const reader = await (await visitor()).open('cometApi.start({ dev_id: DEV, node: NODE }); cometApi.subscription("web_chat", record);');
      await subscribed(tenant, "web_chat", 1);
      const pages = await openTabs(tenant, await visitor(), 3, host);
      for (const [at, page] of pages.entries()) {
        await page.evaluate(`cometApi.subscription("#web_chat", function (m) { happened.push(m.data.number_messages); });
          cometApi.web_pipe_send("web_chat", "say", ${at});
          cometApi.count_users_in_pipe("web_chat", function (m) { happened.push("count " + m.data.user_in_pipe); })`);
      }
      expect((await bodies(reader, 3)).sort()).toEqual(upTo(3));
      for (const page of pages) {
        await until(page, "happened.length >= 2");
        expect((await page.evaluate(() => window.happened)).map(String).sort()).toEqual(["1", "count 1"]);
      }
    });
  });
}

for (const [host, kind] of SITES) {
  test(`S60: tabs opened at the same moment of a first visit are one browser (${kind})`, async ({ tenant, visitor }) => {
    await tenant.authorize(7, "key7");
    const browser = await visitor();
    const path = browser.publish(SCRIPT);
    const pages = await Promise.all(upTo(4).map(() => browser.visit(path, host)));
    await oneMaster(pages);
    await eventually(() => tenant.connections()).toBe(1);
    await tenant.publish("news", "", "once");
    await allGot(pages, ["once"]);
  });
}

test("browsers of one user are separate: each has a connection and a master", async ({ tenant, visitor }) => {
  const phone = await openTabs(tenant, await visitor(), 1, "127.0.0.1");
  const computer = await visitor();
  const path = computer.publish(SCRIPT);
  const page = await computer.visit(path);
  await until(page, "cometApi.isMaster() === true && cometApi.isAuthorized() === true");
  await oneMaster(phone);
  await eventually(() => tenant.connections()).toBe(2);
  await tenant.tell(7, "n", "both");
  await allGot([...phone, page], ["both"]);
});
