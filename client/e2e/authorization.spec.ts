// Who a page is, and how it learns that: S5, S6, S15 to S25 of protocol.md 11, on pages in the old style.

import { eventually, expect, subscribed, test } from "./support/test.js";
import { bodies, connected, until } from "./support/visitor.js";

/** A page that writes down every change of its status. */
const start = (options: string) => `
  cometApi.onAuthSuccess(note("success"));
  cometApi.onAuthFalill(note("failure"));
  cometApi.start({ dev_id: DEV, node: NODE${options} });`;

test("S5 S16 S19: a registered pair of id and key is authorized, onAuthSuccess runs once", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(start(', user_id: 7, user_key: "key7"'));
  await until(page, "happened.length > 0");
  await connected(page);
  expect(await page.evaluate(() => window.happened)).toEqual(["success"]);
});

test("S6: the user id may be a text", async ({ tenant, visitor }) => {
  await tenant.authorize(8, "key8");
  const page = await (await visitor()).open(start(', user_id: "8", user_key: "key8"'));
  await until(page, "happened.length > 0");
  expect(await page.evaluate(() => window.happened)).toEqual(["success"]);
});

test("S17 S19: a wrong key connects without authorization, onAuthFalill runs once", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(start(', user_id: 7, user_key: "wrong"'));
  await until(page, "happened.length > 0");
  await connected(page);
  expect(await page.evaluate(() => window.happened)).toEqual(["failure"]);
});

test("S23 S17: an anonymous page is connected, and not authorized", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(start("") + 'cometApi.subscription("news", record);');
  await until(page, "happened.length > 0");
  expect(await page.evaluate(() => window.happened)).toEqual(["failure"]);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", "hello");
  expect(await bodies(page, 1)).toEqual(["hello"]);
});

test("S20: isAuthorized is undefined, then true or false", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor();
  const asking = "var before = [cometApi.isAuthorized()];";
  const known = await browser.open(`${asking} ${start(', user_id: 7, user_key: "key7"')} before.push(cometApi.isAuthorized());`);
  expect(await known.evaluate("before")).toEqual([undefined, undefined]);
  await until(known, "cometApi.isAuthorized() === true");
  const stranger = await (await visitor()).open(`${asking} ${start(', user_id: 7, user_key: "bad"')}`);
  expect(await stranger.evaluate("before")).toEqual([undefined]);
  await until(stranger, "cometApi.isAuthorized() === false");
});

test("S18: key deleted, key restored: each change of the status is told", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(start(', user_id: 7, user_key: "key7"'));
  await until(page, 'happened.join() === "success"');
  await tenant.run("DELETE FROM users_auth WHERE id = 7");
  await until(page, 'happened.join() === "success,failure"');
  await tenant.authorize(7, "key7");
  await page.evaluate(() => window.cometApi.restart());
  await until(page, 'happened.join() === "success,failure,success"');
  expect(await page.evaluate(() => window.cometApi.isAuthorized())).toBe(true);
});

test("S15: the right id with a wrong key gets no private message", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const listen = 'cometApi.subscription("msg", record); cometApi.subscription("fence", record);';
  const thief = await (await visitor()).open(start(', user_id: 7, user_key: "guess"') + listen);
  const owner = await (await visitor()).open(start(', user_id: 7, user_key: "key7"') + listen);
  await subscribed(tenant, "fence", 2);
  await until(owner, "cometApi.isAuthorized()");
  expect(await tenant.tell(7, "secret", "for seven")).toBe("delivered=1 queued=0");
  await tenant.publish("fence", "", "end");
  expect(await bodies(owner, 2)).toEqual(["for seven", "end"]);
  expect(await bodies(thief, 1)).toEqual(["end"]);
});

test("S24: restart with other parameters becomes somebody else", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  await tenant.authorize(8, "key8");
  const page = await (await visitor()).open(start(', user_id: 7, user_key: "key7"') + 'cometApi.subscription("msg", record);');
  await until(page, "happened.length === 1");
  await page.evaluate(() => window.cometApi.restart({ user_id: 8, user_key: "key8" }));
  await eventually(() => tenant.tell(8, "hi", "for eight")).toBe("delivered=1 queued=0");
  await until(page, 'got.some(function (m) { return m.data === "for eight"; })');
  expect(await tenant.tell(7, "hi", "for seven")).toBe("delivered=0 queued=1");
  // The status did not change, so nothing was told (9.1).
  expect(await page.evaluate(() => window.happened)).toEqual(["success"]);
});

test("S25: restart without parameters keeps them, and the subscriptions", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const script = start(', user_id: 7, user_key: "key7"') + 'cometApi.subscription("news", record);';
  const page = await (await visitor()).open(script);
  await subscribed(tenant, "news", 1);
  const [before] = await tenant.subscribers("news");
  await page.evaluate(() => {
    window.cometApi.subscription("sys.serverInfo", () => window.happened.push("connected"));
    window.cometApi.restart();
  });
  await until(page, 'happened.indexOf("connected") > 0');
  await subscribed(tenant, "news", 1);
  expect(await tenant.subscribers("news")).toEqual([before]);
  await tenant.publish("news", "", "after");
  expect(await bodies(page, 1)).toEqual(["after"]);
});

test("S21 S22: the page connects to the given node and port", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(start("") + 'cometApi.subscription("news", record);');
  await subscribed(tenant, "news", 1);
  const [row] = await tenant.subscribers("news");
  expect(row?.["origin"]).toBe(new URL(page.url()).origin);
});

test("a second start changes nothing: one connection (9.6)", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(start("") + 'cometApi.subscription("news", record);');
  await subscribed(tenant, "news", 1);
  await page.evaluate("cometApi.start({ dev_id: DEV, node: NODE }); cometApi.start();");
  await tenant.publish("news", "", "one");
  expect(await bodies(page, 1)).toEqual(["one"]);
  expect(await tenant.connections()).toBe(1);
});

test("stop closes the connection for good, start opens it again", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(start("") + 'cometApi.subscription("news", record);');
  await subscribed(tenant, "news", 1);
  await page.evaluate(() => window.cometApi.stop());
  await eventually(() => tenant.connections()).toBe(0);
  expect(await page.evaluate(() => window.cometApi.isConnected())).toBe(false);
  await page.evaluate(() => window.cometApi.start());
  await subscribed(tenant, "news", 1);
});
