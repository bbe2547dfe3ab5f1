// One connection per browser where something goes wrong: browsers that only pretend to have locks or a store, tabs that
// are slow, users who change, servers that refused. Stories as in tabs_link.test.ts.

import { describe, expect, test } from "vitest";
import { Browser, OPTIONS, Page, threeTabs } from "./tabs_pages.js";

describe("S67: what the browser has refuses itself", () => {
  test.each([
    ["locks", { locks: true, channel: true, store: false, denied: true }],
    ["store", { locks: false, channel: true, store: true, denied: true }],
  ])("%s: each tab has its own connection at once, and asks no more", async (_, features) => {
    const browser = new Browser(1, features);
    const pages = [browser.open("a"), browser.open("a")];
    await browser.run(1_000);
    expect(pages.map(({ link }) => link.status)).toMatchObject([{ state: "open", master: true }, { state: "open", master: true }]);
    await browser.run(20_000);
    expect(Math.max(...pages.map(({ tab }) => tab.holds))).toBeLessThanOrEqual(2);
    expect(browser.server.connections.size).toBe(2);
    browser.server.publish("a", "x", false);
    pages[0]?.close();
    await browser.run(2_000);
    expect(pages[1]?.seen.get("x")).toBe(1);
    expect(browser.server.connections.size).toBe(1);
  });
});

test("what one user wrote is not sent in another one's name", async () => {
  const [browser, , [page]] = await threeTabs();
  const lost = page?.send("all", "from 7") ?? 0;
  page?.link.restart({ ...OPTIONS, userId: "8" });
  await browser.run(500);
  expect(page?.outcomes.get(lost)).toMatchObject([{ code: "stopped" }]);
  expect(page?.links[0]?.options?.userId).toBe("8");
  expect(page?.links[0]?.asked).toEqual([]);
  const kept = page?.send("all", "from 8") ?? 0;
  page?.link.restart({ ...OPTIONS, userId: "8", userKey: "fresh" });
  await browser.run(500);
  expect(page?.outcomes.get(kept)).toMatchObject([{ number_messages: 1 }]);
});

test("a master that is not sure sends in the order of asking, also what handlers ask meanwhile", async () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const browser = new Browser(seed, { locks: true, channel: true, store: false });
    const page = browser.open("all");
    await browser.run(1_100);
    page.tab.hide(true);
    while (page.master !== undefined) await browser.run(7);
    page.handle = () => void page.send("all", "B");
    void page.links[0]?.hears("hi");
    page.send("all", "A");
    await browser.run(2_000);
    expect(page.links[0]?.asked).toEqual(["A", "B"]);
  }
});

test("a request after stop is rejected, and answered after the next start", async () => {
  const [browser, , [page]] = await threeTabs();
  page?.link.stop();
  const asked = page?.send("all", "too late") ?? 0;
  await browser.run(100);
  expect(page?.outcomes.get(asked)).toMatchObject([{ code: "stopped" }]);
  page?.link.start(OPTIONS);
  const again = page?.send("all", "in time") ?? 0;
  await browser.run(500);
  expect(page?.outcomes.get(again)).toMatchObject([{ number_messages: 1 }]);
});

test("a tab that was slow once is waited for again", async () => {
  const [browser, , [page]] = await threeTabs();
  const after = (ms: number) => () => new Promise<void>((resolve) => page?.tab.edges.timer(resolve, ms));
  if (page) page.handle = after(4_000);
  browser.server.private("slow");
  await browser.run(3_500);
  expect(browser.server.owed).toHaveLength(0);
  await browser.run(1_000);
  if (page) page.handle = after(1_000);
  browser.server.private("quicker");
  await browser.run(900);
  expect(browser.server.owed).toHaveLength(1);
  await browser.run(200);
  expect(browser.server.owed).toHaveLength(0);
});

test("a refused group tries once more for each new page, as a reload means, and never by itself", async () => {
  const [browser, master] = await threeTabs();
  const link = master.links[0];
  browser.server.refuses = true;
  master.link.restart(OPTIONS);
  await browser.run(100);
  const attempts = () => link?.attempts ?? 0;
  const before = attempts();
  await browser.run(3_600_000);
  expect(attempts()).toBe(before);
  const first = browser.open("all");
  await browser.run(300);
  expect([attempts(), first.link.status.state]).toEqual([before + 1, "refused"]);
  browser.server.refuses = false;
  const second = browser.open("all");
  await browser.run(300);
  expect([attempts(), second.link.status.state, first.link.status.state]).toEqual([before + 2, "open", "open"]);
});

test("a hand-over from a master frozen without a word loses nothing that has an id", async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const browser = new Browser(seed, { locks: true, channel: true, store: false });
    const pages: Page[] = [browser.open("all")];
    await browser.run(300);
    pages.push(browser.open("all"));
    await browser.run(300);
    pages[0]?.tab.freeze(false);
    const sent: string[] = [];
    const publish = (ms: number) => browser.world.at(ms, () => {
      sent.push(`m${ms}`);
      browser.server.publish("all", `m${ms}`, true);
    });
    for (let i = 0; i < 10; i += 1) publish(300 + 100 * i);
    await browser.run(1_600);
    expect(pages[1]?.master).toBe(true);
    pages[0]?.tab.wake();
    await browser.run(3_000);
    for (const page of pages) expect(sent.map((data) => page.seen.get(data)), `seed ${seed}`).toEqual(sent.map(() => 1));
    expect(browser.server.connections.size).toBe(1);
  }
});

test("a page that leaves its group is told at once that it is not connected, and nothing about the former user", async () => {
  const [browser, , [page]] = await threeTabs();
  page?.link.restart({ ...OPTIONS, userId: "8" });
  expect(page?.statuses.at(-1)).toMatchObject({ state: "connecting", authorized: undefined, realKey: "", master: undefined });
  await browser.run(300);
  expect(page?.link.status).toMatchObject({ state: "open", authorized: true, master: true });
  page?.tab.event("pagehide");
  page?.tab.event("pageshow");
  expect(page?.link.status).toMatchObject({ state: "connecting", authorized: true });
});

test("S60: tabs of a first visit that each made an id are one group", async () => {
  const browser = new Browser(1, { locks: true, channel: true, store: true });
  const pages = ["one", "two"].map((uuid) => new Page(browser).start({ ...OPTIONS, uuid }));
  await browser.run(1_000);
  expect(pages.map(({ master }) => master).sort()).toEqual([false, true]);
  expect(browser.server.connections.size).toBe(1);
});

test("S11: what was handled just before a reload is acknowledged after it, and not handled again", async () => {
  const browser = new Browser(1, { locks: true, channel: true, store: true });
  const page = browser.open("all");
  await browser.run(500);
  browser.server.private("handled");
  const lost = browser.server.owed;
  await browser.run(100);
  expect(page.seen.get("handled")).toBe(1);
  page.close();
  // The acknowledgement did not arrive; another message came meanwhile.
  browser.server.owed = [...lost];
  browser.server.private("new");
  const reloaded = new Page(browser);
  for (const [key, value] of page.tab.session) reloaded.tab.session.set(key, value);
  reloaded.want("all").start();
  await browser.run(500);
  expect([...reloaded.seen]).toEqual([["new", 1]]);
  expect(browser.server.owed).toEqual([]);
  // And again, before anything came.
  const between = new Page(browser);
  const last = new Page(browser);
  for (const [key, value] of reloaded.tab.session) between.tab.session.set(key, value);
  reloaded.close();
  between.want("all").start();
  between.close();
  for (const [key, value] of between.tab.session) last.tab.session.set(key, value);
  browser.server.owed = [...lost];
  last.want("all").start();
  await browser.run(500);
  expect([...last.seen]).toEqual([]);
  expect(browser.server.owed).toEqual([]);
});
