// Pages that send: S42, S43, S45, S47 and protocol.md 9.4.

import { eventually, expect, subscribed, test } from "./support/test.js";
import { bodies, connected, received, until } from "./support/visitor.js";

const START = "cometApi.start({ dev_id: DEV, node: NODE });";
const START_7 = 'cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });';

test("S42 S45: a message reaches the other subscribers, not its sender; the report counts them", async ({ tenant, visitor }) => {
  const script = `${START} cometApi.subscription("web_chat", record);
    cometApi.subscription("#web_chat", function (m) { happened.push(m.data.number_messages); });`;
  const [first, second, sender] = [await (await visitor()).open(script), await (await visitor()).open(script), await (await visitor()).open(script)];
  await subscribed(tenant, "web_chat", 3);
  await sender.evaluate('cometApi.web_pipe_send("web_chat", "say", { text: "hi" })');
  expect(await bodies(first, 1)).toEqual([{ text: "hi" }]);
  expect(await bodies(second, 1)).toEqual([{ text: "hi" }]);
  await until(sender, "happened.length === 1");
  expect(await sender.evaluate("[happened, got]")).toEqual([[2], []]);
});

test("S43: other channels than web_* cannot be written, neither by the library nor by a frame", async ({ tenant, visitor, problems }) => {
  problems.announce(/message refused/);
  const reader = await (await visitor()).open(`${START} ["news", "track_x", "webauth_x", "fence"].forEach(function (n) { cometApi.subscription(n, record); });`);
  await subscribed(tenant, "fence", 1);
  const page = await (await visitor()).open(`${START} cometApi.subscription("sys.error", record);`);
  await connected(page);
  const results = await page.evaluate(() => ["news", "track_x", "msg", "", "#web_x", "@webauth_x", "web", "private_x"]
    .map((name) => window.cometApi.web_pipe_send(name, "say", "x")));
  expect(results).toEqual(results.map(() => undefined));
  // A page that speaks to the server itself is refused there.
  const raw = await page.evaluate(`new Promise(function (resolve) {
    var frames = [], socket = new WebSocket("ws://" + NODE + "/ws/sesion=&myid=&devid=" + DEV + "&v=4.08&uuid=raw&api=js");
    socket.onmessage = function (m) { frames.push(JSON.parse(m.data)); if (frames.length === 4) { socket.close(); resolve(frames); } };
    socket.onopen = function () {
      ["news", "track_x", "webauth_x"].forEach(function (n) { socket.send("web_pipe2\\n" + n + "\\nsay\\n*\\n\\"x\\""); });
    };
  })`) as { event: string }[];
  expect(raw.slice(1).filter(({ event }) => event === "error").length).toBeGreaterThan(0);
  await tenant.publish("fence", "", "end");
  expect(await bodies(reader, 1)).toEqual(["end"]);
});

test("S47: @web_channel hides the sender", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const sender = await (await visitor()).open(`${START_7} cometApi.subscription("#web_chat", note("report"));`);
  await connected(sender);
  await sender.evaluate('cometApi.web_pipe_send("@web_chat", "say", "who?"); cometApi.web_pipe_send("web_chat", "say", "me")');
  expect((await received(reader, 2)).map(({ data, server_info }) => [data, server_info.user_id])).toEqual([["who?", 0], ["me", 7]]);
  await until(sender, "happened.length === 2");
});

test("webauth_* is written by authorized pages only", async ({ tenant, visitor, problems }) => {
  problems.announce(/not_authorized|channel_refused|cometApi:/);
  await tenant.authorize(7, "key7");
  const reader = await (await visitor()).open(`${START} cometApi.subscription("webauth_chat", record);`);
  await subscribed(tenant, "webauth_chat", 1);
  const stranger = await (await visitor()).open(`${START} cometApi.subscription("#webauth_chat", record);`);
  await connected(stranger);
  await stranger.evaluate('cometApi.web_pipe_send("webauth_chat", "say", "stranger")');
  const [refusal] = await received(stranger, 1);
  expect(refusal?.data).toMatchObject({ number_messages: -1 });
  const known = await (await visitor()).open(START_7);
  await known.evaluate('cometApi.web_pipe_send("webauth_chat", "say", "seven")');
  expect(await bodies(reader, 1)).toEqual(["seven"]);
});

test("multi_web_pipe_send sends copies, readers see one", async ({ tenant, visitor }) => {
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_chat", note("sent"));`);
  await connected(sender);
  await sender.evaluate('cometApi.multi_web_pipe_send("web_chat", "say", { text: "hi" }, 4, 20)');
  await until(sender, "happened.length === 4");
  await tenant.publish("web_chat", "", "end");
  const [message, fence] = await bodies(reader, 2);
  expect(message).toMatchObject({ text: "hi" });
  expect(fence).toBe("end");
});

test("the return value tells: sent, waits, refused", async ({ tenant, visitor, problems }) => {
  problems.announce(/message refused/);
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const page = await (await visitor()).open(`
    var early = cometApi.web_pipe_send("web_chat", "say", "before start"); ${START}
    var opening = cometApi.web_pipe_send("web_chat", "say", "before open");`);
  expect(await page.evaluate("[early, opening]")).toEqual([false, false]);
  await connected(page);
  expect(await page.evaluate('cometApi.web_pipe_send("web_chat", "say", "open")')).toBe(true);
  expect(await page.evaluate('cometApi.web_pipe_send("chat", "say", "x")')).toBeUndefined();
  expect(await bodies(reader, 3)).toEqual(["before start", "before open", "open"]);
});

test("a body that is too long is refused and told, and the connection stays", async ({ tenant, visitor, problems }) => {
  problems.announce(/cometApi: message_too_long/);
  const page = await (await visitor()).open(`${START} cometApi.subscription("#web_chat", record);`);
  await connected(page);
  await page.evaluate('cometApi.web_pipe_send("web_chat", "say", new Array(262145).join("x"))');
  const [refusal] = await received(page, 1);
  expect(refusal?.data).toMatchObject({ number_messages: -1, code: "message_too_long" });
  await page.evaluate('cometApi.web_pipe_send("web_chat", "say", "short")');
  const [, accepted] = await received(page, 2);
  expect(accepted?.data).toMatchObject({ number_messages: 0, error: "" });
  await eventually(() => tenant.connections()).toBe(1);
});

test("a thousand messages in one go arrive once each and in order", async ({ tenant, visitor }) => {
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_chat", note("sent"));`);
  await connected(sender);
  await sender.evaluate('for (var i = 0; i < 1000; i++) cometApi.web_pipe_send("web_chat", "n", i)');
  await until(sender, "happened.length === 1000");
  await tenant.publish("web_chat", "", "end");
  const got = await bodies(reader, 1001);
  expect(got).toEqual([...Array.from({ length: 1000 }, (_, at) => at), "end"]);
});
