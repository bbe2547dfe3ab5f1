// What handlers get, of channels and of private messages: S1, S13, S14, S26 to S34, S41, S48 to S52, S62, S64, S66.

import { eventually, expect, subscribed, test } from "./support/test.js";
import { bodies, connected, received, until } from "./support/visitor.js";

const START = "cometApi.start({ dev_id: DEV, node: NODE });";
const START_7 = 'cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });';

test("S1 S26 S62: anybody who knows the name gets every message of the channel", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  expect(await tenant.publish("news", "a", "one")).toBe("delivered=1 queued=0");
  await tenant.publish("news", "b", "two");
  await tenant.publish("news", "", "three");
  expect(await bodies(page, 3)).toEqual(["one", "two", "three"]);
});

test("S28 S29: JSON arrives as its value, anything else as the same text", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", '{"a":[1,null,"x"]}');
  await tenant.publish("news", "", "{not json}");
  await tenant.publish("news", "", "17");
  await tenant.publish("news", "", " 17 apples");
  expect(await bodies(page, 4)).toEqual([{ a: [1, null, "x"] }, "{not json}", 17, " 17 apples"]);
});

test("S30: channel.event receives that event only", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START}
    cometApi.subscription("news.sport", record);
    cometApi.subscription("news.fence", record);`);
  await subscribed(tenant, "news", 1);
  for (const event of ["weather", "sport", "sports", "", "fence"]) await tenant.publish("news", event, `of ${event}`);
  expect(await bodies(page, 2)).toEqual(["of sport", "of fence"]);
});

test("S31: #channel receives the reports of what the page sends there", async ({ tenant, visitor }) => {
  const other = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  const page = await (await visitor()).open(`${START} cometApi.subscription("#web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  await connected(page);
  await page.evaluate(() => window.cometApi.web_pipe_send("web_chat", "say", { text: "hi" }));
  const [report] = await received(page, 1);
  expect(report?.data).toMatchObject({ number_messages: 1, error: "" });
  expect(report?.server_info.pipe).toBe("_answer_to_web_chat");
  expect(await bodies(other, 1)).toEqual([{ text: "hi" }]);
});

test("S32: one function receives everything", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(`${START_7}
    cometApi.subscription(function (m) { if (/^(one|two|msg)$/.test(m.server_info.pipe)) record(m); });
    cometApi.subscription("one", function () {}); cometApi.subscription("two", function () {});`);
  await subscribed(tenant, "two", 1);
  await tenant.publish("one", "", "1");
  await tenant.publish("two", "", "2");
  await tenant.publish("three", "", "3");
  await tenant.tell(7, "note", "4");
  expect(await bodies(page, 3)).toEqual([1, 2, 4]);
});

test("S33: unsubscription stops a handler; the last one of a channel leaves it", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START}
    var first = cometApi.subscription("news", note("first")), second = cometApi.subscription("news", record);
    cometApi.subscription("fence", record);`);
  await subscribed(tenant, "news", 1);
  expect(await page.evaluate("typeof first")).toBe("string");
  expect(await page.evaluate("cometApi.unsubscription(first)")).toBe(true);
  await tenant.publish("news", "", "one");
  expect(await bodies(page, 1)).toEqual(["one"]);
  expect(await page.evaluate(() => window.happened)).toEqual([]);
  expect(await page.evaluate("cometApi.unsubscription(second)")).toBe(true);
  await subscribed(tenant, "news", 0);
  expect(await page.evaluate("cometApi.unsubscription(second)")).toBe(false);
  await tenant.publish("fence", "", "end");
  expect(await bodies(page, 2)).toEqual(["one", "end"]);
});

test("S34: discouraged names work", async ({ tenant, visitor }) => {
  const names = ["bin_x", "big_x", "push_x", "comet_x", "sys_x", "self_x", "trust_x"];
  const page = await (await visitor()).open(`${START}
    ${names.map((name) => `cometApi.subscription("${name}", record);`).join("\n")}`);
  for (const name of names) await subscribed(tenant, name, 1);
  for (const name of names) await tenant.publish(name, "", name);
  expect(await bodies(page, names.length)).toEqual(names);
});

test("S27: names of 31 characters work everywhere", async ({ tenant, visitor }) => {
  const name = "web_ABCdef-0123456789_xyz-ABCDE";
  expect(name).toHaveLength(31);
  await tenant.keepHistory(name, 5);
  const other = await (await visitor()).open(`${START} cometApi.subscription("${name}", record);`);
  await subscribed(tenant, name, 1);
  const page = await (await visitor()).open(`${START}
    cometApi.subscription("#${name}", note("report"));
    cometApi.web_pipe_send("${name}", "say", "hi");`);
  expect(await bodies(other, 1)).toEqual(["hi"]);
  await until(page, "happened.length === 1");
  await page.evaluate(`cometApi.get_pipe_log("${name}", record)`);
  expect(await bodies(page, 1)).toEqual(["hi"]);
  await page.evaluate(`cometApi.count_users_in_pipe("${name}", function (m) { window.count = m.data.user_in_pipe; })`);
  await until(page, "window.count >= 1");
});

test("S13 S14: msg.event receives that event, msg all private messages", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const page = await (await visitor()).open(`${START_7}
    cometApi.subscription("msg", record);
    cometApi.subscription("msg.event1", function (m) { happened.push(m.data); });`);
  await connected(page);
  for (const event of ["event1", "event2", "event11", ""]) await tenant.tell(7, event, `of ${event}`);
  expect(await bodies(page, 4)).toEqual(["of event1", "of event2", "of event11", "of "]);
  expect(await page.evaluate(() => window.happened)).toEqual(["of event1"]);
});

test("S41: the published track example spells Subscription with a capital letter", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.Subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", "one");
  expect(await bodies(page, 1)).toEqual(["one"]);
});

test("S48 S49 S50 S51 S52: server_info of a message from the back end", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "sport", "one");
  await tenant.publish("news", "", "two");
  const [named, nameless] = (await received(page, 2)).map((message) => message.server_info);
  expect(named).toMatchObject({ user_id: 0, pipe: "news", event: "sport", history: false });
  expect(named?.marker).toBeUndefined();
  expect(nameless?.event).toBeUndefined();
});

test("S49 S51: server_info of a message from a page", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const known = await (await visitor()).open(START_7);
  await known.evaluate('cometApi.web_pipe_send("web_chat", "say", 1)');
  await received(reader, 1);
  const stranger = await (await visitor()).open(START);
  await stranger.evaluate('cometApi.web_pipe_send("web_chat", 2)');
  await received(reader, 2);
  await known.evaluate('cometApi.web_pipe_send("web_chat.say", 3)');
  const infos = (await received(reader, 3)).map(({ server_info }) => server_info);
  expect(infos.map(({ user_id, event }) => [user_id, event])).toEqual([[7, "say"], [0, undefined], [7, "say"]]);
});

test("S66: several channels and events at once, each handler gets only its own", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START}
    ["one", "two", "one.a", "two.b", "one.b"].forEach(function (name) {
      cometApi.subscription(name, function (m) { happened.push(name + ":" + m.data); });
    });
    cometApi.subscription("fence", record);`);
  await subscribed(tenant, "fence", 1);
  await tenant.publish("one", "a", "x");
  await tenant.publish("two", "b", "y");
  await tenant.publish("fence", "", "end");
  await received(page, 1);
  expect(await page.evaluate(() => window.happened)).toEqual(["one:x", "one.a:x", "two:y", "two.b:y"]);
});

test("several names in one subscription, separated by line breaks (9.3)", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("one\\ntwo.b", record);`);
  await subscribed(tenant, "one", 1);
  await subscribed(tenant, "two", 1);
  await tenant.publish("two", "a", "x");
  await tenant.publish("two", "b", "y");
  await tenant.publish("one", "b", "z");
  expect(await bodies(page, 2)).toEqual(["y", "z"]);
});

test("S64: messages are pushed: a page asks for nothing while they arrive", async ({ tenant, visitor }, info) => {
  const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_x", record);`);
  const reader = await (await visitor()).open(`${START}
    cometApi.subscription("web_x", function (m) { happened.push(Date.now() - m.data); });`);
  await subscribed(tenant, "web_x", 1);
  await connected(sender);
  await connected(reader);
  const asked: string[] = [];
  reader.on("request", (request) => asked.push(request.url()));
  reader.on("websocket", (socket) => asked.push(socket.url()));
  const rounds = 15;
  for (let round = 1; round <= rounds; round += 1) {
    await sender.evaluate('cometApi.web_pipe_send("web_x", "time", Date.now())');
    await until(reader, `happened.length === ${round}`);
  }
  const delays = (await reader.evaluate(() => window.happened)).map(Number).sort((a, b) => a - b);
  const median = delays[Math.floor(rounds / 2)] ?? Infinity;
  info.annotations.push({ type: "median delay, ms", description: String(median) });
  console.log(`from page to page: ${median} ms`);
  expect(asked).toEqual([]);
});

test("a handler that throws harms neither the others nor the library", async ({ tenant, visitor, problems }) => {
  problems.announce(/a mistake of the page/);
  const page = await (await visitor()).open(`${START}
    cometApi.subscription("news", function () { throw new Error("a mistake of the page"); });
    cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", "one");
  await tenant.publish("news", "", "two");
  expect(await bodies(page, 2)).toEqual(["one", "two"]);
  await eventually(() => tenant.connections()).toBe(1);
});
