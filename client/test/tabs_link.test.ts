// One connection per browser (protocol.md 9.5), told as stories in a simulated browser: what each way of leaving, coming
// and sleeping does. What happens when all of it happens at once is in tabs_chaos.test.ts.

import { describe, expect, test } from "vitest";
import { Browser, OPTIONS, WAYS, type Page } from "./tabs_pages.js";

async function threeTabs(features = WAYS["Web Locks, BroadcastChannel"]): Promise<[Browser, Page, Page[]]> {
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

describe.each(Object.entries(WAYS))("%s", (_, features) => {
  test("S60: one tab is master, the others are not, and the browser has one connection", async () => {
    const [browser, master, others] = await threeTabs(features);
    expect(master.master).toBe(true);
    expect(others.map((page) => page.master)).toEqual([false, false]);
    expect(browser.server.connections.size).toBe(1);
    expect(master.link.status.state).toBe("open");
    for (const { link } of others) {
      expect(link.status).toMatchObject({ state: "open", authorized: true, realKey: OPTIONS.userKey, server: "test" });
    }
  });

  test("the server is told what all tabs want, also when it becomes less", async () => {
    const [browser, master, others] = await threeTabs(features);
    const told = () => [...browser.server.connections].map((link) => [...link.told].sort());
    expect(told()).toEqual([["a", "all", "b", "c"]]);
    for (const page of [master, ...others]) page.want("all");
    await browser.run(100);
    expect(told()).toEqual([["all"]]);
    others[0]?.want("all", "x");
    await browser.run(100);
    expect(told()).toEqual([["all", "x"]]);
    others[0]?.close();
    await browser.run(100);
    expect(told()).toEqual([["all"]]);
  });

  test("S61: each tab gets each message it wants once, and asked in a handler one tab is master", async () => {
    const [browser] = await threeTabs(features);
    browser.server.publish("all", "hello", false);
    browser.server.publish("b", "only b", false);
    browser.server.private("for you");
    await browser.run(100);
    expect(browser.pages.map((page) => page.seen.get("hello"))).toEqual([1, 1, 1]);
    expect(browser.pages.map((page) => page.seen.get("only b"))).toEqual([undefined, 1, undefined]);
    expect(browser.pages.map((page) => page.seen.get("for you"))).toEqual([1, 1, 1]);
    for (const data of ["hello", "for you"]) {
      const masters = browser.pages.filter((page) => page.log.some((line) => line.data === data && line.master));
      expect(masters).toHaveLength(1);
    }
  });

  const ways: Record<string, (page: Page) => void> = {
    "is closed": (page) => page.close(),
    crashes: (page) => page.crash(),
    "is frozen": (page) => page.tab.freeze(true),
    "is frozen without a word": (page) => page.tab.freeze(false),
    stops: (page) => {
      page.options = undefined;
      page.link.stop();
    },
  };
  test.each(Object.entries(ways))("when the master %s another tab follows within a second", async (way, leave) => {
    const [browser, master, others] = await threeTabs(features);
    leave(master);
    let waited = 0;
    while (!others.some((page) => page.master)) {
      await browser.run(10);
      expect((waited += 10)).toBeLessThan(1_000);
    }
    if (features.locks && way !== "is frozen without a word") expect(waited).toBeLessThan(100);
    await browser.run(100);
    browser.server.publish("all", "after", false);
    await browser.run(100);
    expect(others.map((page) => page.seen.get("after"))).toEqual([1, 1]);
  });

  test("S60: a master that was frozen without a word and wakes is not master, in no moment", async () => {
    const [browser, master] = await threeTabs(features);
    master.tab.freeze(false);
    await browser.run(1_000);
    browser.server.publish("all", "meanwhile", false);
    await browser.run(1_000);
    expect(browser.masters()).toHaveLength(1);
    browser.world.check = () => expect(browser.masters().length).toBeLessThanOrEqual(1);
    master.tab.wake();
    expect(master.master).not.toBe(true);
    await browser.run(1_000);
    expect(master.master).toBe(false);
    expect(browser.server.connections.size).toBe(1);
    for (const page of browser.pages) expect(page.seen.get("meanwhile")).toBe(1);
  });
});

test("tabs that cannot talk to each other have a connection each, and each is master", async () => {
  for (const features of [{ locks: false, channel: false, store: false }, { locks: false, channel: true, store: false }]) {
    const browser = new Browser(1, features);
    const pages = [browser.open("a"), browser.open("a")];
    await browser.run(100);
    expect(pages.map((page) => page.master)).toEqual([true, true]);
    expect(browser.server.connections.size).toBe(2);
    browser.server.publish("a", "x", false);
    await browser.run(100);
    expect(pages.map((page) => page.seen.get("x"))).toEqual([1, 1]);
  }
});

test("S60: a tab that won in its sleep and was replaced does not disturb its successor when it wakes", async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const browser = new Browser(seed, { locks: true, channel: true, store: false });
    const pages: Page[] = [];
    for (let i = 0; i < 3; i += 1) {
      pages.push(browser.open("all"));
      await browser.run(300);
    }
    const [first, sleeper, last] = pages;
    sleeper?.tab.freeze(false);
    first?.close();
    await browser.run(1_500);
    expect(last?.master).toBe(true);
    sleeper?.tab.wake();
    await browser.run(1_500);
    expect([sleeper?.master, last?.master]).toEqual([false, true]);
    expect([sleeper?.links.length, last?.links.length]).toEqual([0, 1]);
  }
});

test("a tab with other credentials has a connection of its own", async () => {
  const [browser, master, [other]] = await threeTabs();
  other?.link.restart({ ...OPTIONS, userKey: "another" });
  await browser.run(300);
  expect(master.master).toBe(true);
  expect(other?.master).toBe(true);
  expect([...browser.server.connections].map((link) => link.options?.userKey).sort()).toEqual(["another", OPTIONS.userKey]);
  other?.link.restart(OPTIONS);
  await browser.run(300);
  expect(other?.master).toBe(false);
  expect(browser.server.connections.size).toBe(1);
});

test("a private message is acknowledged when every tab has handled it", async () => {
  const [browser, , others] = await threeTabs();
  let done: () => void = () => undefined;
  for (const page of others) page.handle = () => new Promise<void>((resolve) => { done = resolve; });
  others[0]?.tab.freeze(true);
  await browser.run(50);
  browser.server.private("hi");
  await browser.run(2_000);
  expect(browser.server.owed).toHaveLength(1);
  done();
  await browser.run(100);
  expect(browser.server.owed).toHaveLength(0);
});

test("a tab that does not handle a private message holds it up for three seconds, and no second one", async () => {
  const [browser, , others] = await threeTabs();
  others[0]?.tab.freeze(false);
  browser.server.private("first");
  await browser.run(2_900);
  expect(browser.server.owed).toHaveLength(1);
  await browser.run(200);
  expect(browser.server.owed).toHaveLength(0);
  browser.server.private("second");
  await browser.run(100);
  expect(browser.server.owed).toHaveLength(0);
  others[0]?.tab.wake();
  await browser.run(100);
  expect(others[0]?.log.map(({ data }) => data)).toEqual(["first", "second"]);
});

test("a private message comes once to each tab although the next master gets it again", async () => {
  const [browser, master, others] = await threeTabs();
  let handled = 0;
  for (const page of browser.pages) page.handle = () => new Promise(() => void (handled += 1));
  browser.server.private("hi");
  await browser.run(50);
  expect(handled).toBe(3);
  master.crash();
  await browser.run(500);
  expect(others.map((page) => page.seen.get("hi"))).toEqual([1, 1]);
  expect(browser.server.owed).toHaveLength(1);
});

test("requests of all tabs are answered once, also when the master goes meanwhile", async () => {
  const [browser, master, others] = await threeTabs();
  const asked = others.map((page) => [page, page.ask({ kind: "count", channel: "web_x" }), page.send("all", `${page.tab.number}`)] as const);
  master.crash();
  await browser.run(500);
  for (const [page, count, send] of asked) {
    expect(page.outcomes.get(count)).toEqual([{ user_in_pipe: 1 }]);
    expect(page.outcomes.get(send)).toMatchObject([{ number_messages: 1 }]);
  }
});

test("a history goes to the tab that asked", async () => {
  const [browser, , others] = await threeTabs();
  const asked = others[0]?.ask({ kind: "history", channel: "all" }) ?? 0;
  await browser.run(100);
  expect(others[0]?.outcomes.get(asked)).toMatchObject([[{ data: "old", history: true }]]);
  expect(browser.pages.map((page) => page.log.length)).toEqual([0, 0, 0]);
});

test("what one tab sends reaches the others, as if each had a connection; not itself", async () => {
  const [browser, master, others] = await threeTabs();
  others[0]?.send("all", '"to all"');
  master.send("all", '"from the master"');
  await browser.run(100);
  expect(others.map((page) => page.seen.get("to all"))).toEqual([undefined, 1]);
  expect(master.seen.get("to all")).toBe(1);
  expect(others.map((page) => page.seen.get("from the master"))).toEqual([1, 1]);
  expect(master.seen.get("from the master")).toBe(undefined);
});

test("an aborted request is rejected at once", async () => {
  const [browser, , others] = await threeTabs();
  const abort = new AbortController();
  const asked = others[0]?.ask({ kind: "count", channel: "web_x" }, abort.signal) ?? 0;
  abort.abort();
  await browser.run(100);
  expect(others[0]?.outcomes.get(asked)).toMatchObject([{ code: "aborted" }]);
});

test("stop rejects what waits and concerns this tab alone; start brings it back", async () => {
  const [browser, master, others] = await threeTabs();
  const asked = others[0]?.ask({ kind: "count", channel: "web_x" }) ?? 0;
  others[0]?.link.stop();
  await browser.run(100);
  expect(others[0]?.outcomes.get(asked)).toMatchObject([{ code: "stopped" }]);
  expect(others[0]?.link.status).toMatchObject({ state: "stopped", master: false });
  expect(master.master).toBe(true);
  others[0]?.link.start(OPTIONS);
  await browser.run(100);
  expect(others[0]?.link.status).toMatchObject({ state: "open", master: false });
});

test("restart in any tab makes the connection new; start with the same options does nothing", async () => {
  const [browser, master, others] = await threeTabs();
  const count = () => others[1]?.statuses.filter(({ state }) => state === "connecting").length;
  const before = count() ?? 0;
  others[0]?.link.start(OPTIONS);
  await browser.run(100);
  expect(count()).toBe(before);
  others[0]?.link.restart(OPTIONS);
  await browser.run(100);
  expect(count()).toBe(before + 1);
  expect(master.master).toBe(true);
});

test("a page comes back from the back-forward cache as a member", async () => {
  const [browser, master, others] = await threeTabs();
  master.tab.event("pagehide");
  await browser.run(100);
  expect(others.filter((page) => page.master)).toHaveLength(1);
  master.tab.event("pageshow");
  await browser.run(100);
  expect(master.master).toBe(false);
  browser.server.publish("all", "back", false);
  await browser.run(100);
  expect(browser.pages.map((page) => page.seen.get("back"))).toEqual([1, 1, 1]);
});

test("a crashed tab's channels are given up, also where nothing tells of its end", async () => {
  for (const features of Object.values(WAYS)) {
    const [browser, master, others] = await threeTabs(features);
    others[0]?.crash();
    others[1]?.close();
    await browser.run(features.locks ? 100 : 25_000);
    expect([...browser.server.connections].map((link) => [...link.told])).toEqual([[...master.wanted.keys()]]);
  }
});

test("the status is told to a page whenever it changes, and once it is a member", async () => {
  const [browser, master, others] = await threeTabs();
  for (const page of browser.pages) expect(page.statuses.at(-1)).toEqual(page.link.status);
  const before = others[0]?.statuses.length ?? 0;
  master.link.restart(OPTIONS);
  await browser.run(100);
  expect(others[0]?.statuses.slice(before).map(({ state }) => state)).toEqual(["connecting", "open"]);
});

test("a page may leave, come back and change who it is in the middle of whatever it is told", async () => {
  for (const features of Object.values(WAYS)) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const browser = new Browser(seed, features);
      const pages = [browser.open("all"), browser.open("all"), browser.open("all")];
      let left = 0;
      browser.pages[seed % 3]?.onStatus(({ master, state }, page) => {
        if (left >= 12 || (master !== true && state !== "open")) return;
        left += 1;
        if (left % 3 === 0) page.link.restart({ ...OPTIONS, userKey: "another" });
        else {
          page.link.stop();
          page.link.start(OPTIONS);
        }
      });
      await browser.run(20_000);
      expect(left).toBe(12);
      pages.forEach((page) => page.link.start(OPTIONS));
      await browser.run(2_000);
      expect(pages.filter((page) => page.master)).toHaveLength(1);
      expect(browser.server.connections.size).toBe(1);
    }
  }
});
