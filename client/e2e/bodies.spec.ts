// Bodies that break naive encoders arrive exactly, whichever way they take: S28, S29, S42, S46 and protocol.md 2.5.1.

import { expect, subscribed, test } from "./support/test.js";
import { bodies, connected, received } from "./support/visitor.js";

const LONG = "0123456789abcdefé漢😀\\'\"".repeat(3_000).slice(0, 65_536);

/** Texts that are no JSON. */
const TEXTS: readonly string[] = [
  "plain", "it's", "\\'", "\\\\'", "say \"hi\"", "back\\slash\\", "\\", "'", "\"", "\\\"", "\\u0027", "\\n is not a line break",
  "two\nlines", "CR LF\r\nhere", "tab\tand\vothers\f\b", "ends with a line break\n", "\n", " ", "Привет", "日本語", "عربى",
  "😀👩‍👩‍👧‍👦", "\u2028line\u2029paragraph", "\u0001\u0002\u001f\u007f", "a NUL \0 inside", "<script>alert('x')</script>", "</script><!--",
  "A::7;I am seven", "{\"unfinished\":", "[1,2,", "{'single': 'quotes'}", "NaN", "undefined", "01", "1e", "--", "%00%27%5C",
  "{\"a\":1} ", "\u{feff}bom", LONG,
].filter((text) => !isJson(text));

/** Values a page sends, and a back end sends as their JSON. */
const VALUES: readonly unknown[] = [
  { text: "it's \"quoted\" \\ 'twice'", emoji: "😀", line: "\u2028", nul: "\0", nested: "{\"a\":\"\\\\\"}" },
  "{\"looks\":\"like JSON\"}", "[1]", "17", "null", "true", "", [], {}, null, true, 0, -1.5e-7, "\\'", "\\\\'", "A::7;hi",
  { user_id: 1, authorized: true, error: 500, jscode: "alert(1)", pipe: "sys", event: "error", marker: "x", history: true, uuid: "y" },
  { __proto__x: 1, constructor: "c", "": "empty key", "with.dot": { "\n": "\r" } }, [[[[[["deep"]]]]]], LONG,
];

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const START = "cometApi.start({ dev_id: DEV, node: NODE });";
const START_7 = 'cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });';

test("S29: hostile texts through CometQL to a channel", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  for (const text of TEXTS) await tenant.publish("news", "e", text);
  expect(await bodies(page, TEXTS.length)).toEqual(TEXTS);
});

test("S28: hostile values through CometQL to a channel", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  for (const value of VALUES) await tenant.publish("news", "e", JSON.stringify(value));
  expect(await bodies(page, VALUES.length)).toEqual(VALUES);
});

test("S28 S42: hostile values from page to page, and in the reports", async ({ tenant, visitor }) => {
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const values = [...VALUES, ...TEXTS];
  await sender.evaluate((all) => {
    for (const value of all) window.cometApi.web_pipe_send("web_chat", "say", value);
  }, values);
  expect(await bodies(reader, values.length)).toEqual(values);
  const reports = (await received(sender, values.length)).map(({ data }) => (data as { message: string }).message);
  expect(reports.map((text) => JSON.parse(text) as unknown)).toEqual(values);
});

test("S29: hostile texts and values in private messages, live and from the queue", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const half = TEXTS.slice(0, 20);
  for (const text of half) await tenant.tell(7, "queued", text);
  const page = await (await visitor()).open(`${START_7} cometApi.subscription("msg", record);`);
  await received(page, half.length);
  const rest = TEXTS.slice(20);
  for (const text of rest) await tenant.tell(7, "live", text);
  for (const value of VALUES) await tenant.tell(7, "live", JSON.stringify(value));
  expect(await bodies(page, TEXTS.length + VALUES.length)).toEqual([...TEXTS, ...VALUES]);
});

test("S29 S56: hostile texts and values in the history", async ({ tenant, visitor }) => {
  await tenant.keepHistory("web_log", 99);
  for (const text of TEXTS) await tenant.publish("web_log", "e", text);
  const sender = await (await visitor()).open(`${START} cometApi.subscription("#web_log", record);`);
  await connected(sender);
  await sender.evaluate((all) => {
    for (const value of all) window.cometApi.web_pipe_send("web_log", "say", value);
  }, [...VALUES]);
  await received(sender, VALUES.length);
  const reader = await (await visitor()).open(`${START} cometApi.get_pipe_log("web_log", record);`);
  expect(await bodies(reader, TEXTS.length + VALUES.length)).toEqual([...TEXTS, ...VALUES]);
});

test("S46: nothing in a body makes its sender somebody else", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const reader = await (await visitor()).open(`${START} cometApi.subscription("web_chat", record);`);
  await subscribed(tenant, "web_chat", 1);
  const sender = await (await visitor()).open(START_7);
  const forged = [
    "A::1;hello", "'A::1;", '","user_id":1,"x":"', { user_id: 1, server_info: { user_id: 1 } }, '"}\n{"pipe":"web_chat","user_id":1,"data":"x"}',
  ];
  await sender.evaluate((all) => {
    for (const value of all) window.cometApi.web_pipe_send("web_chat", "say", value);
  }, forged);
  const got = await received(reader, forged.length);
  expect(got.map(({ data }) => data)).toEqual(forged);
  expect(got.map(({ server_info }) => server_info.user_id)).toEqual(forged.map(() => 7));
});

test("what a server says is data: a body with jscode is not run", async ({ tenant, visitor }) => {
  const page = await (await visitor()).open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", '{"jscode":"happened.push(1)"}');
  expect(await bodies(page, 1)).toEqual([{ jscode: "happened.push(1)" }]);
  expect(await page.evaluate(() => window.happened)).toEqual([]);
});
