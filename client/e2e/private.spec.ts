// Private messages: to all devices (S7 to S9), to users who are away (S10), across reloads (S11, S12), and to pages that
// die before they handled them (protocol-v5.md 4).

import type { Page } from "@playwright/test";
import { eventually, expect, test } from "./support/test.js";
import { pause, streamTo, upTo } from "./support/stream.js";
import { bodies, connected, crashBusy, received, until } from "./support/visitor.js";

const START_7 = 'cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });';

/** Writes down what was handled where a reload does not reach it. */
const keep = (user: number, key: string) => `
  cometApi.start({ dev_id: DEV, user_id: ${user}, user_key: "${key}", node: NODE });
  function handled() { return JSON.parse(localStorage.handled${user} || "[]"); }
  cometApi.subscription("msg", function (m) { localStorage.handled${user} = JSON.stringify(handled().concat([m.data])); });`;
const KEEP = keep(7, "key7");

const handled = (page: Page) => page.evaluate<unknown[]>("handled()");

test("S7 S8 S9: a private message reaches all devices of the user, sixteen at once, in two browsers", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  // Each with an id of its own is a device of its own.
  const script = `${upTo(8).map((n) => `
    var device${n} = new cometServerApi({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE, uuid: "device${n}" });
    device${n}.subscription("msg", function (m) { record({ device: ${n}, data: m.data }); });
    device${n}.start();`).join("")}`;
  const pages = [await (await visitor()).open(script), await (await visitor()).open(script)];
  await eventually(() => tenant.connections()).toBe(16);
  for (const page of pages) await until(page, upTo(8).map((n) => `device${n}.isAuthorized()`).join(" && "));
  expect(await tenant.tell(7, "note", '{"text":"to all"}')).toBe("delivered=16 queued=0");
  for (const page of pages) {
    const got = (await received(page, 8)) as unknown as { device: number; data: unknown }[];
    expect(got.sort((a, b) => a.device - b.device)).toEqual(upTo(8).map((device) => ({ device, data: { text: "to all" } })));
  }
  await eventually(() => tenant.unpaid(7)).toBe(0);
});

test("S10: away: the messages wait and arrive in order when he comes", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  for (const n of upTo(5)) expect(await tenant.tell(7, "n", String(n))).toBe("delivered=0 queued=1");
  const page = await (await visitor()).open(`${START_7} cometApi.subscription("msg.n", record);`);
  expect(await bodies(page, 5)).toEqual(upTo(5));
  await eventually(() => tenant.unpaid(7)).toBe(0);
});

for (const before of [300, 100, 20, 0]) {
  test(`S11: a message sent ${before} ms before a reload is handled once`, async ({ tenant, visitor }) => {
    await tenant.authorize(7, "key7");
    const page = await (await visitor()).open(KEEP);
    await until(page, "cometApi.isAuthorized()");
    await tenant.tell(7, "n", "0");
    await pause(before);
    await page.reload();
    await until(page, "cometApi.isAuthorized() && handled().length >= 1");
    await tenant.tell(7, "n", "1");
    await until(page, "handled().indexOf(1) >= 0");
    expect(await handled(page)).toEqual([0, 1]);
  });
}

test("S11: messages sent 0, 20, 100, 300, 1000 and 3000 ms after a reload began are handled once each", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(KEEP);
  await until(page, "cometApi.isAuthorized()");
  const reloaded = page.reload();
  const times = [0, 20, 100, 300, 1000, 3000];
  await Promise.all(times.map(async (time) => {
    await pause(time);
    await tenant.tell(7, "n", String(time));
  }));
  await reloaded;
  await until(page, `handled().indexOf(3000) >= 0`);
  expect(await handled(page)).toEqual(times);
});

test("S11: a page that reloads again and again under a stream of messages handles each once, in order", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(KEEP);
  await until(page, "cometApi.isAuthorized()");
  const stop = streamTo(tenant, 7, 4);
  for (const round of upTo(6)) {
    await page.reload();
    // Not always at the same point of its life.
    if (round % 2 === 0) await until(page, "cometApi.isAuthorized()");
    await pause(round * 20);
  }
  const sent = await stop();
  await until(page, `handled().indexOf(${sent - 1}) >= 0`);
  expect(await handled(page)).toEqual(upTo(sent));
  await eventually(() => tenant.unpaid(7)).toBe(0);
});

test("S12: the page is closed for a while and opened again", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor();
  const path = browser.publish(KEEP);
  const page = await browser.visit(path);
  await until(page, "cometApi.isAuthorized()");
  await tenant.tell(7, "n", "0");
  await until(page, "handled().length === 1");
  await page.close();
  await eventually(() => tenant.connections()).toBe(0);
  await tenant.tell(7, "n", "1");
  await tenant.server.restart();
  await tenant.tell(7, "n", "2");
  const again = await browser.visit(path);
  await until(again, "handled().length === 3");
  expect(await handled(again)).toEqual([0, 1, 2]);
});

test("a page that dies before its handler has run gets the message again", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor();
  const path = browser.publish(KEEP);
  const victim = await browser.visit(path);
  await until(victim, "cometApi.isAuthorized()");
  // The page hangs: the frame reaches the browser, and the handler never runs.
  await victim.evaluate("setTimeout(function () { for (;;) {} }, 0)");
  expect(await tenant.tell(7, "n", "0")).toBe("delivered=1 queued=0");
  await crashBusy(victim);
  await eventually(() => tenant.connections()).toBe(0);
  expect(await tenant.unpaid(7)).toBe(1);
  const page = await browser.visit(path);
  await until(page, "handled().length === 1");
  expect(await handled(page)).toEqual([0]);
  await eventually(() => tenant.unpaid(7)).toBe(0);
});

test("a page that dies while its handler is at work gets the message again", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor();
  const victim = await browser.open(`${START_7}
    cometApi.subscription("msg", function (m) { record(m); return new Promise(function () {}); });`);
  await until(victim, "cometApi.isAuthorized()");
  await tenant.tell(7, "n", "0");
  expect(await bodies(victim, 1)).toEqual([0]);
  await victim.close({ runBeforeUnload: false });
  await eventually(() => tenant.connections()).toBe(0);
  expect(await tenant.unpaid(7)).toBe(1);
  const page = await browser.open(`${START_7} cometApi.subscription("msg", record);`);
  expect(await bodies(page, 1)).toEqual([0]);
  await eventually(() => tenant.unpaid(7)).toBe(0);
});

test("a message nobody in the page wants is acknowledged all the same", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(`${START_7} cometApi.subscription("msg.wanted", record);`);
  await until(page, "cometApi.isAuthorized()");
  await tenant.tell(7, "unwanted", "0");
  await tenant.tell(7, "wanted", "1");
  expect(await bodies(page, 1)).toEqual([1]);
  await eventually(() => tenant.unpaid(7)).toBe(0);
});

test("a long queue arrives completely, in order and once", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const count = 400;
  const rows = upTo(count).map((n) => `(7, 'n', '${n}')`).join(",");
  await tenant.run(`INSERT INTO users_messages (id, event, message) VALUES ${rows}`);
  const page = await (await visitor()).open(`${START_7} cometApi.subscription("msg", record);`);
  await connected(page);
  expect((await received(page, count)).map(({ data }) => data)).toEqual(upTo(count));
  await eventually(() => tenant.unpaid(7)).toBe(0);
});
