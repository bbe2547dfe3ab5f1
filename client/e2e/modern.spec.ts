// The modern face as a new page uses it, imported as an ES module: promises, reports, iteration, AbortSignal, types of errors.

import { expect, subscribed, test } from "./support/test.js";
import { until } from "./support/visitor.js";

const CONNECT = "window.comet = createComet({ url: NODE, devId: DEV });";
const CONNECT_7 = 'window.comet = createComet({ url: NODE, devId: DEV, userId: 7, userKey: "key7" });';

test("on, send and its report", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const reader = await (await visitor()).openModern(`${CONNECT} comet.on("web_chat.say", function (m) { got.push(m); });`);
  await subscribed(tenant, "web_chat", 1);
  const sender = await (await visitor()).openModern(CONNECT_7);
  expect(await sender.evaluate(() => window.comet.send("web_chat", "say", { text: "it's 😀" }))).toEqual({ receivers: 1, repeated: false });
  expect(await sender.evaluate(() => window.comet.send("web_chat", "other", 1))).toEqual({ receivers: 1, repeated: false });
  expect(await sender.evaluate(() => window.comet.send("web_chat.say", "short form"))).toEqual({ receivers: 1, repeated: false });
  await until(reader, "got.length === 2");
  const messages = await reader.evaluate<unknown[]>("got");
  expect(messages[0]).toMatchObject({ data: { text: "it's 😀" }, channel: "web_chat", event: "say", userId: 7, history: false, fromQueue: false });
  expect(messages[1]).toMatchObject({ data: "short form" });
});

test("off, AbortSignal and close end handlers", async ({ tenant, visitor }) => {
  const page = await (await visitor()).openModern(`${CONNECT}
    window.off = comet.on("one", note("one"));
    window.abort = new AbortController();
    comet.on("two", note("two"), { signal: abort.signal });
    comet.on("fence", function (m) { got.push(m); });`);
  await subscribed(tenant, "fence", 1);
  await page.evaluate("off(); abort.abort()");
  await subscribed(tenant, "one", 0);
  await subscribed(tenant, "two", 0);
  await tenant.publish("one", "", "x");
  await tenant.publish("fence", "", "end");
  await until(page, "got.length === 1");
  expect(await page.evaluate(() => window.happened)).toEqual([]);
  await page.evaluate(() => window.comet.close());
  await subscribed(tenant, "fence", 0);
});

test("messages as an iteration", async ({ tenant, visitor }) => {
  const page = await (await visitor()).openModern(`${CONNECT}
    (async function () {
      for await (const message of comet.messages("news")) {
        happened.push(message.data);
        if (message.data === "end") break;
      }
      happened.push("over");
    })();`);
  await subscribed(tenant, "news", 1);
  for (const body of ["one", "two", "end", "late"]) await tenant.publish("news", "", body);
  await until(page, 'happened.indexOf("over") >= 0');
  expect(await page.evaluate(() => window.happened)).toEqual(["one", "two", "end", "over"]);
  await subscribed(tenant, "news", 0);
});

test("history, count, users, user data and status", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  await tenant.keepHistory("web_log", 5);
  await tenant.run("INSERT INTO users_data (id, data) VALUES (7, 'seven')");
  for (const n of [1, 2, 3]) await tenant.publish("web_log", "n", String(n));
  const page = await (await visitor()).openModern(`${CONNECT_7} comet.on("track_x", function () {}); comet.on("web_log", function () {});`);
  await subscribed(tenant, "track_x", 1);
  const answers = await page.evaluate(async () => ({
    history: (await window.comet.history("web_log")).map(({ data, event, history }) => [data, event, history]),
    count: await window.comet.count("web_log"),
    users: (await window.comet.users("track_x")).map(({ userId }) => userId),
    data: await window.comet.userData(7),
    online: await window.comet.status("7"),
  }));
  expect(answers).toEqual({
    history: [[1, "n", true], [2, "n", true], [3, "n", true]],
    count: 1, users: [7], data: "seven", online: { online: true, secondsAgo: 0 },
  });
});

test("errors have a code and are CometErrors", async ({ tenant, visitor }) => {
  const page = await (await visitor()).openModern(`${CONNECT}
    window.failing = function (run) {
      return run().then(function () { return "no error"; }, function (e) { return e instanceof CometError ? e.code : "another error: " + e; });
    };`);
  await until(page, 'comet.state === "open"');
  const codes = await page.evaluate<string[]>(`Promise.all([
    failing(() => comet.send("news", "e", 1)),
    failing(() => comet.send("webauth_x", "e", 1)),
    failing(() => comet.send("web_x", "e", "x".repeat(300000))),
    failing(() => comet.send("web_x", "no blanks please", 1)),
    failing(() => comet.count("news")),
    failing(() => comet.users("web_x")),
    failing(() => comet.userData("nobody")),
    failing(() => comet.history("private_x")),
    failing(() => comet.count("web_x", { signal: AbortSignal.abort() })),
  ])`);
  expect(codes).toEqual([
    "channel_refused", expect.stringMatching(/not_authorized|channel_refused/), "message_too_long", "bad_event",
    "channel_refused", "channel_refused", "bad_user", expect.stringMatching(/not_authorized|channel_refused/), "aborted",
  ]);
  const thrown = await page.evaluate<string>('(function () { try { comet.on("two words", function () {}); return "nothing"; } catch (e) { return e.name; } })()');
  expect(thrown).toBe("RangeError");
  expect(await page.evaluate<string>('failing(() => { const asked = comet.count("web_x"); comet.stop(); return asked; })')).toBe("stopped");
  await expect.poll(() => tenant.connections()).toBe(0);
});

test("the state is told from the beginning to the end", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).openModern(`${CONNECT_7} comet.onState(function (s) {
    if (happened[happened.length - 1] !== s.state) happened.push(s.state);
  });`);
  await until(page, 'comet.state === "open" && comet.isMaster');
  expect(await page.evaluate(() => window.comet.authorized)).toBe(true);
  await page.evaluate(() => window.comet.restart({ userKey: "wrong" }));
  await until(page, 'comet.state === "open" && comet.authorized === false');
  await page.evaluate(() => window.comet.stop());
  await until(page, 'comet.state === "stopped"');
  expect((await page.evaluate(() => window.happened)).at(-1)).toBe("stopped");
  expect(await page.evaluate(() => window.happened.filter((state) => state === "open").length)).toBe(2);
});

test("a private message is acknowledged when the handler's promise has settled", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).openModern(`${CONNECT_7}
    comet.on("msg.task", function (m) { got.push(m); return new Promise(function (done) { window.done = done; }); });`);
  await until(page, "comet.authorized");
  await tenant.tell(7, "task", "work");
  await until(page, "got.length === 1");
  expect(await tenant.unpaid(7)).toBe(1);
  await page.evaluate("done()");
  await expect.poll(() => tenant.unpaid(7)).toBe(0);
});

test("both faces in tabs of one browser: each build has its own connection, and both get everything", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor();
  const old = await browser.open('cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE }); cometApi.subscription("msg", record);');
  await until(old, "cometApi.isMaster()");
  const young = await browser.openModern(`${CONNECT_7} comet.on("msg", function (m) { got.push(m); });`);
  await until(young, 'comet.isMaster && comet.state === "open"');
  await tenant.tell(7, "n", "both");
  await until(old, "got.length === 1");
  await until(young, "got.length === 1");
  expect(await tenant.connections()).toBe(2);
});
