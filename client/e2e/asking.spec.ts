// Presence, counts, lists and history: S35 to S40, S52 to S59.

import { expect, subscribed, test } from "./support/test.js";
import { bodies, connected, received, until } from "./support/visitor.js";

const START = "cometApi.start({ dev_id: DEV, node: NODE });";
const START_7 = 'cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });';

test("S35 S36 S37: anybody sees a user come and go", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const watcher = await (await visitor()).open(`${START} cometApi.subscription("user_status_7", record);`);
  await subscribed(tenant, "user_status_7", 1);
  const seven = await visitor();
  await seven.open(START_7);
  expect((await received(watcher, 1)).map(({ server_info }) => server_info.event)).toEqual(["online"]);
  await seven.close();
  expect((await received(watcher, 2)).map(({ server_info }) => server_info.event)).toEqual(["online", "offline"]);
});

test("S38 S39 S40: a live list of visitors from track events", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const watcher = await (await visitor()).open(`${START}
    cometApi.subscription("track_page", function (m) { happened.push(m.server_info.event + " " + m.data.user_id + " " + m.data.uuid); });`);
  await subscribed(tenant, "track_page", 1);
  const guest = await visitor();
  const page = await guest.open(`${START_7} var id = cometApi.subscription("track_page", function () {});`);
  await until(watcher, "happened.length === 1");
  const uuid = await page.evaluate(() => window.cometApi.getUUID());
  // Another channel is no reason to be announced again (S39).
  await page.evaluate('cometApi.subscription("other", function () {})');
  await subscribed(tenant, "other", 1);
  await watcher.evaluate("cometApi.getTrackPipeUsers('track_page', record)");
  const [list] = await received(watcher, 1);
  const own = await watcher.evaluate(() => window.cometApi.getUUID());
  expect(list?.data).toEqual(expect.arrayContaining([{ user_id: 7, uuid }, { user_id: 0, uuid: own }]));
  // Leaves the channel, comes back, leaves the site.
  await page.evaluate("cometApi.unsubscription(id)");
  await until(watcher, "happened.length === 2");
  await page.evaluate('cometApi.subscription("track_page", function () {})');
  await until(watcher, "happened.length === 3");
  await guest.close();
  await until(watcher, "happened.length === 4");
  const joined = `subscription 7 ${uuid}`;
  const left = `unsubscription 7 ${uuid}`;
  expect(await watcher.evaluate(() => window.happened)).toEqual([joined, left, joined, left]);
});

test("S57 S58 S59: counting subscribers", async ({ tenant, visitor, problems }) => {
  problems.announce(/cometApi: channel_refused/);
  const first = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record); cometApi.subscription("chat_pipe", record);`);
  await (await visitor()).open(`${START} cometApi.subscription("web_chat", record); cometApi.subscription("chat_pipe", record);`);
  await subscribed(tenant, "chat_pipe", 2);
  await first.evaluate(`
    cometApi.count_users_in_pipe("chat_pipe", note("a number for chat_pipe"));
    cometApi.count_users_in_pipe("web_chat", function (m) { happened.push(m.data.user_in_pipe); });`);
  await until(first, "happened.length > 0");
  expect(await first.evaluate(() => window.happened)).toEqual([2]);
  expect(await tenant.select("SELECT * FROM pipes WHERE name = 'chat_pipe'")).toEqual([{ name: "chat_pipe", users: "2" }]);
});

test("S53 S54 S55 S56 S52: history is off, then keeps the last messages and sends them marked", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(`${START_7} cometApi.subscription("web_log", record);`);
  await subscribed(tenant, "web_log", 1);
  await tenant.publish("web_log", "", "not kept");
  await tenant.keepHistory("web_log", 3);
  for (const n of [1, 2, 3, 4]) await tenant.publish("web_log", "n", String(n));
  await received(page, 5);
  await page.evaluate(() => {
    window.got = [];
    window.cometApi.get_pipe_log("web_log");
  });
  const kept = await received(page, 3);
  expect(kept.map(({ data }) => data)).toEqual([2, 3, 4]);
  for (const { server_info } of kept) {
    expect(server_info).toMatchObject({ pipe: "web_log", event: "n", user_id: 0, history: true });
    expect(typeof server_info.marker).toBe("string");
  }
  // Live again, without marker.
  await tenant.publish("web_log", "n", "5");
  const [, , , live] = await received(page, 4);
  expect(live?.server_info).toMatchObject({ history: false });
  expect(live?.server_info.marker).toBeUndefined();
});

test("S55 S51: get_pipe_log with a handler, senders included", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  await tenant.keepHistory("web_log", 10);
  const sender = await (await visitor()).open(`${START_7} cometApi.subscription("#web_log", note("stored"));`);
  await connected(sender);
  await sender.evaluate('cometApi.web_pipe_send("web_log", "say", "mine"); cometApi.web_pipe_send("@web_log", "", "hidden")');
  await until(sender, "happened.length === 2");
  await tenant.publish("web_log", "say", "from the back end");
  const reader = await (await visitor()).open(`${START} cometApi.get_pipe_log("web_log", record);`);
  const got = await received(reader, 3);
  expect(got.map(({ data, server_info }) => [data, server_info.user_id, server_info.event])).toEqual([
    ["mine", 7, "say"], ["hidden", 0, undefined], ["from the back end", 0, "say"],
  ]);
});

test("the history of a channel without one is empty, and nothing else happens", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.get_pipe_log("web_empty", record); cometApi.subscription("fence", record);`);
  await subscribed(tenant, "fence", 1);
  await tenant.publish("fence", "", "end");
  expect(await bodies(page, 1)).toEqual(["end"]);
});

test("getUserData tells the public text of a user", async ({ tenant, visitor }) => {
  await tenant.run("INSERT INTO users_data (id, data) VALUES (?, ?)", [7, '{"name":"It\'s \\ seven"}']);
  const page = await (await visitor()).open(`${START} cometApi.getUserData(7, record); cometApi.getUserData("8", record);`);
  expect(await bodies(page, 2)).toEqual([
    { user_id: 7, user_data: '{"name":"It\'s \\ seven"}' }, { user_id: 8, user_data: "" },
  ]);
});

test("S37: user_status tells when somebody was here", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const seven = await (await visitor()).open(START_7);
  await until(seven, "cometApi.isAuthorized()");
  const page = await (await visitor()).openModern("window.comet = createComet({ url: NODE, devId: DEV });");
  expect(await page.evaluate(() => window.comet.status(7))).toEqual({ online: true, secondsAgo: 0 });
  expect(await page.evaluate(() => window.comet.status(8))).toEqual({ online: false, secondsAgo: undefined });
  await seven.close();
  await expect.poll(() => page.evaluate(() => window.comet.status(7).then(({ online }) => online))).toBe(false);
});
