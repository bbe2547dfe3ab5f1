// What pages notice of a server that stops, dies, and comes back, and of a network that goes away: S67, and that nothing a
// page sent meanwhile is lost or doubled (protocol-v5.md 3).

import { eventually, expect, subscribed, test } from "./support/test.js";
import { pause, upTo } from "./support/stream.js";
import { bodies, connected, received, until } from "./support/visitor.js";
import { CONNECTION_FAILED } from "./support/problems.js";

const START = "cometApi.start({ dev_id: DEV, node: NODE });";
const START_7 = 'cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });';

for (const how of ["stop", "kill"] as const) {
  test(`S67: ${how} and start: pages come back by themselves, with their subscriptions and what they sent meanwhile`, async ({ tenant, visitor, problems }) => {
    problems.announce(CONNECTION_FAILED);
    await tenant.authorize(7, "key7");
    const reader = await (await visitor()).open(`${START_7}
      cometApi.subscription("web_chat", record); cometApi.subscription("msg", record);`);
    const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_chat", record);`);
    await subscribed(tenant, "web_chat", 1);
    await connected(sender);
    expect(await tenant.server[how]()).toBeUndefined();
    await until(sender, "!cometApi.isConnected()");
    for (const n of upTo(3)) expect(await sender.evaluate(`cometApi.web_pipe_send("web_chat", "say", ${n})`)).toBe(false);
    await until(reader, "!cometApi.isConnected()");
    await tenant.server.launch();
    await tenant.tell(7, "note", "private");
    // The sender may be back before the reader: then its messages had no receiver, and the reports say so.
    const reports = (await received(sender, 3)).map(({ data }) => data as { number_messages: number; error: string });
    expect(reports.map(({ error }) => error)).toEqual(["", "", ""]);
    await subscribed(tenant, "web_chat", 1);
    await tenant.publish("web_chat", "", "end");
    await until(reader, 'got.some(function (m) { return m.data === "end"; }) && got.some(function (m) { return m.data === "private"; })');
    const got = await reader.evaluate(() => window.got.map(({ data }) => data));
    const sent = upTo(3).filter((n) => (reports[n]?.number_messages ?? 0) > 0);
    expect(got.filter((data) => typeof data === "number")).toEqual(sent);
    expect(got.filter((data) => data === "private")).toHaveLength(1);
    expect(await reader.evaluate(() => window.cometApi.isAuthorized())).toBe(true);
  });
}

test("S67: a channel with history gets what was sent while the server was down, exactly once", async ({ tenant, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  await tenant.keepHistory("web_log", 50);
  const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_log", record);`);
  await connected(sender);
  // Some leave before the end, some are on their way, some wait.
  await sender.evaluate("window.timer = setInterval(function () { cometApi.web_pipe_send('web_log', 'n', window.n = (window.n || 0) + 1); }, 5)");
  await received(sender, 5);
  await tenant.server.kill();
  await until(sender, "!cometApi.isConnected()");
  await sender.evaluate("clearInterval(window.timer)");
  await tenant.server.launch();
  const sent = await sender.evaluate<number>("window.n");
  await received(sender, sent);
  const kept = (await tenant.select("SELECT * FROM pipes_messages WHERE name = 'web_log'")).map(({ message }) => Number(message));
  expect(kept).toEqual(upTo(sent).map((n) => n + 1).slice(-50));
  const reports = await sender.evaluate(() => window.got.map(({ data }) => JSON.parse((data as { message: string }).message) as number));
  expect(reports.sort((a, b) => a - b)).toEqual(upTo(sent).map((n) => n + 1));
});

test("S67: all tabs of a browser come back with one connection", async ({ tenant, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  const browser = await visitor();
  const path = browser.publish(`${START} cometApi.subscription("news", record);`);
  const first = await browser.visit(path);
  await until(first, "cometApi.isMaster()");
  const pages = [first, await browser.visit(path), await browser.visit(path)];
  await subscribed(tenant, "news", 1);
  await tenant.server.kill();
  for (const page of pages) await until(page, "!cometApi.isConnected()");
  await tenant.server.launch();
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", "again");
  for (const page of pages) expect(await bodies(page, 1)).toEqual(["again"]);
  expect(await tenant.connections()).toBe(1);
});

test("a server that stays away is asked ever more seldom", async ({ tenant, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  const page = await (await visitor()).open(`
    var sockets = 0;
    window.WebSocket = class extends WebSocket { constructor(url) { super(url); sockets++; } };
    ${START}`);
  await connected(page);
  await tenant.server.kill();
  await pause(4_000);
  const attempts = await page.evaluate<number>("sockets");
  await tenant.server.launch();
  // 300 ms, doubled each time, and spread: a handful in four seconds.
  expect(attempts).toBeGreaterThan(1);
  expect(attempts).toBeLessThan(16);
  // The next attempt may be ten seconds away; news of a network brings it forward.
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await connected(page);
});

test("the network goes and comes: the page says so, and what it sent arrives once", async ({ tenant, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const browser = await visitor();
  const page = await browser.openModern(`
    window.comet = createComet({ url: NODE, devId: DEV });
    comet.onState(function (s) { happened.push(s.state); });`);
  await until(page, 'comet.state === "open"');
  await browser.context.setOffline(true);
  // Whether the browser ends open sockets is its own matter, so the server does.
  await tenant.server.restart();
  await until(page, 'comet.state === "offline"');
  await page.evaluate(() => {
    void window.comet.send("web_chat", "say", "from the tunnel").then(({ receivers }) => { window.happened.push(`receivers ${receivers}`); });
  });
  await subscribed(tenant, "web_chat", 1);
  await browser.context.setOffline(false);
  await until(page, 'comet.state === "open" && happened.indexOf("receivers 1") >= 0');
  await tenant.publish("web_chat", "", "end");
  expect(await bodies(reader, 2)).toEqual(["from the tunnel", "end"]);
});

test("kill -9 under traffic: no accepted private message is lost", async ({ tenant, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(`${START_7} cometApi.subscription("msg", record);`);
  await until(page, "cometApi.isAuthorized()");
  let accepted = 0;
  for (const round of upTo(3)) {
    for (const _ of upTo(20)) {
      await tenant.tell(7, "n", String(accepted));
      accepted += 1;
    }
    if (round < 2) {
      await tenant.server.kill();
      await tenant.server.launch();
    }
  }
  await received(page, accepted);
  await eventually(() => tenant.unpaid(7)).toBe(0);
  // The page lived, so it saw each once, whatever the server forgot.
  expect(await bodies(page, accepted)).toEqual(upTo(accepted));
});
