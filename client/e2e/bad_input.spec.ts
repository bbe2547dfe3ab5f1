// What goes wrong around a page: refused origins, wrong servers, browsers with things switched off. Always a state or an
// error the page can show; never an exception, never a hot loop.

import type { Duplex } from "node:stream";
import type { Page } from "@playwright/test";
import { FakeServer, frame, HELLO } from "./support/fake_server.js";
import { freePort } from "./support/ports.js";
import { CONNECTION_FAILED } from "./support/problems.js";
import { Server } from "./support/server.js";
import { pause } from "./support/stream.js";
import { eventually, expect, subscribed, test } from "./support/test.js";
import { bodies, connected, received, until } from "./support/visitor.js";

const START = "cometApi.start({ dev_id: DEV, node: NODE });";

/** Counts the sockets a page opens. */
const COUNT = `
  window.sockets = 0;
  window.WebSocket = class extends WebSocket { constructor(url) { super(url); window.sockets++; } };`;

/** A modern page that connects to `url`, and writes down states and errors. */
const watch = (url: string) => `
  window.comet = createComet({ url: ${JSON.stringify(url)}, devId: DEV });
  comet.onState(function (s) { happened.push(s.state + (s.error ? " " + s.error.code : "")); });
  comet.onError(function (e) { happened.push("error " + e.code); });`;

const happened = (page: Page) => page.evaluate<string[]>("happened");

test("a refused origin: refused with its code, asked once", async ({ visitor, problems }) => {
  problems.announce(/origin_refused/);
  const server = await Server.start({ COMET_WS_HOST: "example.com" });
  try {
    const browser = await visitor();
    await browser.context.addInitScript(COUNT);
    const page = await browser.openModern(watch(server.node));
    await until(page, 'comet.state === "refused"');
    expect(await page.evaluate(() => window.comet.connection.error?.code)).toBe("origin_refused");
    expect(await page.evaluate(() => window.comet.authorized)).toBeUndefined();
    const failed = await page.evaluate(() => Promise.race([
      window.comet.count("web_x").then(() => "counted", ({ code }: { code: string }) => code),
      new Promise((resolve) => { setTimeout(resolve, 1500, "waits for better credentials"); }),
    ]));
    expect(["waits for better credentials", "origin_refused"]).toContain(failed);
    expect(await page.evaluate("window.sockets")).toBe(1);
    const old = await browser.open(`cometApi.subscription("sys.error", record); cometApi.start({ dev_id: DEV, node: "${server.node}" });`);
    const [told] = await received(old, 1);
    expect(told?.data).toMatchObject({ error_code: 423 });
    expect(await old.evaluate(() => window.cometApi.isConnected())).toBe(false);
    await browser.close();
  } finally {
    await server.dispose();
  }
});

test("names of channels that are none are refused, and harm no others", async ({ tenant, visitor, problems }) => {
  problems.announce(/subscription refused|channel_refused|bad_channel|not_authorized|cometApi:/);
  const long = "x".repeat(65);
  const page = await (await visitor()).open(`${START} cometApi.subscription("sys.error", function (m) { happened.push(m.data.code); });
    var results = ["a", "${long}", "with blank", "русский", "private_x", null, 7, {}, "..", "news"].map(function (name) {
      return typeof cometApi.subscription(name, record); });`);
  await subscribed(tenant, "news", 1);
  expect((await page.evaluate<string[]>("results")).at(-1)).toBe("string");
  await tenant.publish("news", "", "fine");
  expect(await bodies(page, 1)).toEqual(["fine"]);
  expect(await tenant.connections()).toBe(1);
  await until(page, 'happened.indexOf("not_authorized") >= 0 || happened.indexOf("channel_refused") >= 0');
});

const NONSENSE: readonly [string, (socket: Duplex) => void][] = [
  ["text that is no JSON", (socket) => socket.write(Buffer.concat([frame("hello"), frame("}{"), frame("")]))],
  ["JSON that is no frame", (socket) => socket.write(Buffer.concat(["null", "[]", "17", '{"pipe":1}', '{"pipe":"sys"}'].map((text) => frame(text))))],
  ["nonsense after a good beginning", (socket) => socket.write(Buffer.concat([HELLO, ...["x", "{}", "[[", '{"re":"a"}', '{"pipe":{},"data":1}'].map((text) => frame(text))]))],
  ["binary frames", (socket) => socket.write(Buffer.concat([frame(Buffer.from([0, 255, 1]), 2), HELLO, frame(Buffer.from([9]), 2)]))],
  ["frames cut off in the middle", (socket) => { socket.write(frame("{".repeat(100)).subarray(0, 40)); setTimeout(() => socket.destroy(), 20); }],
  ["reserved bits", (socket) => socket.write(Buffer.from([0xf1, 0x02, 0x41, 0x42]))],
  ["an end right after the handshake", (socket) => socket.destroy()],
  ["an end right after serverInfo", (socket) => { socket.write(HELLO); setTimeout(() => socket.destroy(), 5); }],
  ["silence", () => undefined],
];

for (const [what, speak] of NONSENSE) {
  test(`a server that speaks ${what}: a state, no exception, no hot loop`, async ({ visitor, problems }) => {
    problems.announce(CONNECTION_FAILED, /cometApi: (bad_frame|unreachable)/);
    const fake = await FakeServer.start(speak);
    try {
      const browser = await visitor();
      const page = await browser.openModern(watch(fake.node));
      const old = await browser.open(`${START.replace("NODE", `"${fake.node}"`)} cometApi.subscription("news", record);`, "plain.test");
      await eventually(async () => fake.visits.length).toBeGreaterThan(1);
      await pause(2_000);
      // Two pages, each with a handful of attempts.
      expect(fake.visits.length).toBeLessThan(30);
      expect(["connecting", "waiting", "open", "refused"]).toContain(await page.evaluate(() => window.comet.state));
      expect(await old.evaluate(() => window.got)).toEqual([]);
      await page.evaluate(() => window.comet.close());
    } finally {
      await fake.dispose();
    }
  });
}

test("a server of version 4 is named as such", async ({ visitor, problems }) => {
  problems.announce(/old_server/);
  const old = JSON.stringify({ pipe: "sys", event: "serverInfo", server: "old", authorized: false, data: "", message_send_time: 1 });
  const fake = await FakeServer.start((socket) => socket.write(frame(old)));
  try {
    const page = await (await visitor()).openModern(watch(fake.node));
    await until(page, 'comet.state === "refused"');
    expect(await page.evaluate(() => window.comet.connection.error?.code)).toBe("old_server");
    expect(fake.visits.length).toBe(1);
  } finally {
    await fake.dispose();
  }
});

test("nobody listens there: waiting, with a reason, and a handful of attempts", async ({ visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  const browser = await visitor();
  await browser.context.addInitScript(COUNT);
  const page = await browser.openModern(watch(`127.0.0.1:${await freePort()}`));
  await until(page, 'comet.state === "waiting" && comet.connection.error');
  expect(await page.evaluate(() => window.comet.connection.error?.code)).toBe("unreachable");
  await pause(2_000);
  expect(await page.evaluate("window.sockets")).toBeLessThan(12);
  const abort = await page.evaluate(() => window.comet.send("web_x", "e", 1, { signal: AbortSignal.timeout(50) }).catch(({ code }: { code: string }) => code));
  expect(abort).toBe("aborted");
});

test("an address that is none is a state as well", async ({ visitor, problems }) => {
  problems.announce(CONNECTION_FAILED, /ERR_NAME_NOT_RESOLVED/);
  for (const url of ["http://[", "::::", "ws://a b", "127.0.0.1:99999", "javascript:alert(1)"]) {
    const page = await (await visitor()).openModern(watch(url));
    await until(page, "comet.connection.error");
    expect(["unreachable", "no_websocket"]).toContain(await page.evaluate(() => window.comet.connection.error?.code));
    await page.evaluate(() => window.comet.close());
  }
});

const BLOCKED: readonly [string, string][] = [
  ["throws", 'window.WebSocket = function () { throw new DOMException("blocked", "SecurityError"); };'],
  ["is missing", "delete window.WebSocket;"],
];
for (const [what, script] of BLOCKED) {
  test(`WebSocket ${what}: a state with its code, no exception`, async ({ visitor, problems }) => {
    problems.announce(/cometApi: (no_websocket|unreachable)/);
    const browser = await visitor();
    await browser.context.addInitScript(script);
    const page = await browser.openModern(watch("127.0.0.1:1"));
    await until(page, "comet.connection.error");
    expect(["no_websocket", "unreachable"]).toContain(await page.evaluate(() => window.comet.connection.error?.code));
    const old = await browser.open(`${START} cometApi.subscription("news", record);`);
    await pause(1_000);
    expect(await old.evaluate("[cometApi.isConnected(), cometApi.web_pipe_send('web_x', 'e', 1)]")).toEqual([false, false]);
    expect((await happened(page)).length).toBeLessThan(24);
  });
}

const NO_STORAGE = `
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
  }`;
const NO_CHANNELS = "delete window.BroadcastChannel; Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });";

test("storage switched off: everything works", async ({ tenant, visitor }) => {
  const browser = await visitor();
  await browser.context.addInitScript(NO_STORAGE);
  const page = await browser.open(`${START} cometApi.subscription("news", record);`);
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", "one");
  expect(await bodies(page, 1)).toEqual(["one"]);
  expect(await page.evaluate(() => window.cometApi.isMaster())).toBe(true);
  const uuid = await page.evaluate(() => [window.cometApi.getUUID(), window.cometApi.getUUID()]);
  expect(uuid[0]).toBe(uuid[1]);
});

test("storage, channels and locks switched off: each tab has a connection of its own", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor();
  await browser.context.addInitScript(NO_STORAGE + NO_CHANNELS);
  const path = browser.publish(`cometApi.start({ dev_id: DEV, user_id: 7, user_key: "key7", node: NODE });
    cometApi.subscription("news", record); cometApi.subscription("msg", record);`);
  const pages = [await browser.visit(path), await browser.visit(path)];
  await subscribed(tenant, "news", 2);
  for (const page of pages) {
    await connected(page);
    expect(await page.evaluate(() => window.cometApi.isMaster())).toBe(true);
  }
  await tenant.publish("news", "", "one");
  await tenant.tell(7, "n", "two");
  for (const page of pages) expect(await bodies(page, 2)).toEqual(["one", "two"]);
});

test("S67: site data blocked, where every lock is refused: each tab has a connection of its own", async ({ tenant, visitor }) => {
  const browser = await visitor();
  await browser.context.addInitScript(`${NO_STORAGE}
    const refuse = () => Promise.reject(new DOMException("The request was denied.", "SecurityError"));
    Object.defineProperty(Navigator.prototype, "locks", { value: { request: refuse } });`);
  const path = browser.publish(`${START} cometApi.subscription("news", record);`);
  const pages = [await browser.visit(path), await browser.visit(path)];
  await subscribed(tenant, "news", 2);
  for (const page of pages) expect(await page.evaluate(() => window.cometApi.isMaster())).toBe(true);
  await tenant.publish("news", "", "one");
  for (const page of pages) expect(await bodies(page, 1)).toEqual(["one"]);
});

test("channels and locks missing: tabs agree through the storage (9.5)", async ({ tenant, visitor }) => {
  const browser = await visitor();
  await browser.context.addInitScript(NO_CHANNELS);
  const path = browser.publish(`${START} cometApi.subscription("news", record);`);
  const first = await browser.visit(path);
  await until(first, "cometApi.isMaster()");
  const second = await browser.visit(path);
  await until(second, "cometApi.isMaster() === false && cometApi.isConnected()");
  await subscribed(tenant, "news", 1);
  expect(await tenant.connections()).toBe(1);
  await tenant.publish("news", "", "one");
  for (const page of [first, second]) expect(await bodies(page, 1)).toEqual(["one"]);
  await first.close();
  await until(second, "cometApi.isMaster()");
  await subscribed(tenant, "news", 1);
  await tenant.publish("news", "", "two");
  expect(await bodies(second, 2)).toEqual(["one", "two"]);
});

test("no call of the old face throws, whatever it is given", async ({ visitor, problems }) => {
  problems.announce(/cometApi:/);
  const page = await (await visitor()).open(START);
  const thrown = await page.evaluate(`(function () {
    var thrown = [], odd = [undefined, null, 0, -1, NaN, "", "x", [], {}, function () {}, true, "\\u2028", 1e400, new Array(100000).join("y")];
    var circle = {}; circle.self = circle; odd.push(circle);
    ["subscription", "Subscription", "unsubscription", "web_pipe_send", "multi_web_pipe_send", "get_pipe_log", "count_users_in_pipe",
     "getTrackPipeUsers", "getUserData", "sendStatistics", "setLogLevel", "onAuthSuccess", "onAuthFalill", "setRealUserKey", "UseWss"].forEach(function (name) {
      odd.forEach(function (a) { odd.forEach(function (b) {
        if (name === "multi_web_pipe_send" && typeof b !== "object") return;
        try { cometApi[name](a, b); } catch (error) { thrown.push(name + ": " + error.message); }
      }); });
    });
    cometApi.stop();
    return thrown.filter(function (text, at) { return thrown.indexOf(text) === at; });
  })()`);
  expect(thrown).toEqual([]);
});
