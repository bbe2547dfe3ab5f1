// The committed classic script as a page loads it: the globals, and that shortening names shortened nothing that pages
// or servers see. It runs with as much of a browser around it as it needs.

import { afterEach, beforeEach, expect, test } from "vitest";
import type { CometServerApi, LegacyMessage, SignalBus } from "../src/legacy.js";
import script from "../dist/CometServerApi.js?raw";
import { FakeServer } from "./fake_server.js";

interface Page {
  cometApi: CometServerApi;
  CometServer(): CometServerApi;
  cometServerApi: new () => CometServerApi;
  _cometServerApi: () => CometServerApi;
  tabSignal: SignalBus;
  comet_server_signal(): SignalBus;
}

let server: FakeServer;
let page: Page;
let run: (target: object) => void;
let stored: Map<string, string>;

function load(): Page {
  stored = new Map();
  const events = { addEventListener: () => undefined, removeEventListener: () => undefined };
  const globals = {
    ...events, self: events, WebSocket: server.WebSocket,
    document: { ...events, currentScript: { src: "http://site:8087/CometServerApi.js" }, cookie: "" },
    location: { href: "http://site/page" }, navigator: { onLine: true }, BroadcastChannel: undefined,
    localStorage: {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => void stored.set(key, value),
      removeItem: (key: string) => void stored.delete(key),
    },
  };
  run = (target) => void new Function("globalThis", ...Object.keys(globals), script)(target, ...Object.values(globals));
  const target = {};
  run(target);
  return target as Page;
}

beforeEach(() => {
  server = new FakeServer();
  page = load();
});
afterEach(() => page.cometApi.stop());

const opened = (api: CometServerApi) => new Promise<void>((done) => {
  api.onAuthSuccess(done);
  api.onAuthFalill(done);
});

test("the globals of protocol.md 9", () => {
  expect(page.CometServer()).toBe(page.cometApi);
  expect(new page.cometServerApi()).not.toBe(page.cometApi);
  expect(page._cometServerApi()).toBeInstanceOf(page.cometServerApi);
  expect(page.comet_server_signal()).toBe(page.tabSignal);
  const calls = [
    "start", "restart", "stop", "isConnected", "isMaster", "isAuthorized", "onAuthSuccess", "onAuthFalill", "getUUID",
    "getTabUUID", "getUserId", "getUserKey", "getDevId", "getRealUserKey", "setRealUserKey", "UseWss", "isUseWss",
    "UseWebSocket", "setLogLevel", "getLogLevel", "subscription", "Subscription", "unsubscription", "unsubscriptionAll",
    "web_pipe_send", "multi_web_pipe_send", "get_pipe_log", "count_users_in_pipe", "getTrackPipeUsers", "getUserData",
    "sendStatistics",
  ];
  const methods = page.cometApi as unknown as Record<string, unknown>;
  expect(calls.filter((name) => typeof methods[name] !== "function")).toEqual([]);
  expect(["subscribe", "unsubscribe", "emit"].filter((name) => !(name in page.tabSignal))).toEqual([]);
});

test("loading it opens nothing; what page and server see has its full names", async () => {
  const { cometApi } = page;
  expect(server.sockets.size).toBe(0);
  server.user(7, "key");
  server.keepHistory("web_chat");
  const [seen, reports, private_] = [[] as LegacyMessage[], [] as unknown[], [] as unknown[]];
  const first = new Promise<void>((done) => cometApi.subscription("web_chat", (message) => void done(void seen.push(message))));
  const reported = new Promise<void>((done) => cometApi.subscription("#web_chat", ({ data }) => void done(void reports.push(data))));
  const mail = new Promise<void>((done) => cometApi.subscription("msg.mail", ({ data }) => void done(void private_.push(data))));
  const open = opened(cometApi);
  cometApi.start({ user_id: 7, user_key: "key", dev_id: 15 });
  await open;
  const socket = [...server.sockets][0];
  expect(socket?.url).toMatch(/^ws:\/\/site:8087\/ws\/sesion=key&myid=7&devid=15&v=5\.0&uuid=[\w-]{32}&api=js$/);
  expect(stored.get("comet_server_uuid")).toBe(cometApi.getUUID());
  expect([cometApi.isConnected(), cometApi.isAuthorized()]).toEqual([true, true]);
  await expect.poll(() => cometApi.isMaster()).toBe(true);
  cometApi.web_pipe_send("web_chat", "say", { text: "it's" });
  await reported;
  expect(reports).toEqual([{ number_messages: 0, message: '{"text":"it\'s"}', error: "" }]);
  server.publish("web_chat", "say", { text: "it's" });
  await first;
  expect(JSON.parse(JSON.stringify(seen[0]))).toEqual({
    data: { text: "it's" }, server_info: { user_id: 0, pipe: "web_chat", event: "say", history: false, uuid: expect.any(String) },
  });
  server.sendPrivate(7, "mail", "text");
  await mail;
  expect(private_).toEqual(["text"]);
  await expect.poll(() => server.users.get(7)?.owed).toEqual([]);
});

test("questions", async () => {
  const { cometApi } = page;
  server.user(8, "", "public");
  server.keepHistory("web_chat");
  server.publish("web_chat", "say", 1);
  const ask = (call: (handler: (message: LegacyMessage) => void) => unknown) =>
    new Promise<LegacyMessage>((done) => call(done));
  const open = opened(cometApi);
  cometApi.subscription("track_online", () => undefined);
  cometApi.start();
  await open;
  const old = await ask((done) => cometApi.get_pipe_log("web_chat", done));
  expect([old.data, old.server_info.history, typeof old.server_info.marker]).toEqual([1, true, "string"]);
  expect((await ask((done) => cometApi.count_users_in_pipe("track_online", done))).data).toEqual({ user_in_pipe: 1 });
  expect((await ask((done) => cometApi.getUserData(8, done))).data).toEqual({ user_id: 8, user_data: "public" });
  expect((await ask((done) => cometApi.getTrackPipeUsers("track_online", done))).data).toEqual(
    [{ user_id: 0, uuid: cometApi.getUUID() }]);
});

test("a second copy on the page leaves the first in place", () => {
  const { cometApi } = page;
  run(page);
  expect(page.cometApi).toBe(cometApi);
});
