// What tabs take from each other, and under which name they meet (protocol.md 9.5): whatever another script of the site
// puts on the line changes nothing.

import { expect, test } from "vitest";
import { digest, groupName } from "../src/tabs/group.js";
import { BUS_VERSION, parseMessage, type BusBody, type BusMessage } from "../src/tabs/message.js";
import { Browser, OPTIONS, WAYS } from "./tabs_pages.js";
import { Random } from "./tabs_sim.js";

const INCOMING = { pipe: "a", event: "", data: { x: [1] }, userId: 1, history: false, fromQueue: false, uuid: undefined, time: 1 };

const BODIES: readonly BusBody[] = [
  ["hello", ["a"], true],
  ["request", 1, { kind: "send", channel: "web_a", anonymous: false, event: "", body: "1", sendKey: "k-1" }],
  ["request", 1, { kind: "history", channel: "a" }],
  ["abort", 1],
  ["handled", 1],
  ["reconnect"],
  ["ping", 1],
  ["claim"],
  ["yield"],
  ["bye"],
  ["beat", 1, 1.5, false],
  ["status", 1, { state: "open", authorized: true, realKey: "*", master: true, server: "s", error: undefined }],
  ["status", 1, { state: "refused", authorized: false, realKey: "", master: true, server: "", error: { code: "no_credentials", message: "m" } }],
  ["error", 1, "bad_frame", "m"],
  ["message", 1, "", "", INCOMING],
  ["answer", 1, { number_messages: 1 }],
  ["answer", 1, [INCOMING]],
  ["failed", 1, "timeout", "m"],
];

const said = (from: string, to: string, body: BusBody): BusMessage => [BUS_VERSION, from, to, ...body];

test("what one tab says another understands, over a channel and over the store", () => {
  for (const body of BODIES) {
    const message = said("from", "to", body);
    expect(parseMessage(structuredClone(message))).toEqual(message);
    expect(parseMessage(JSON.parse(JSON.stringify(message)))).toEqual(JSON.parse(JSON.stringify(message)));
  }
});

test("a message of another version, or with any part missing, too much or of another type, is none", () => {
  for (const body of BODIES) {
    const message = said("from", "to", body);
    expect(parseMessage([`${BUS_VERSION}x`, ...message.slice(1)])).toBe(undefined);
    const broken: unknown[][] = message.flatMap((_, at) =>
      [null, undefined, Object].map((other) => Object.assign([...message], { [at]: other })));
    broken.push(message.slice(0, -1), [...message, 1], [...message, null]);
    for (const one of broken) expect(parseMessage(one), String(one[3])).toBe(undefined);
  }
  for (const value of [
    undefined, null, 0, "", [], {}, ["beat"], [BUS_VERSION], [BUS_VERSION, "a", ""], [BUS_VERSION, "a", "", "constructor"], [BUS_VERSION, "a", "", "__proto__"],
  ]) expect(parseMessage(value)).toBe(undefined);
});

test.each(Object.entries(WAYS))("%s: garbage on the line neither stops nor misleads a tab", async (_, features) => {
  const browser = new Browser(3, features);
  const pages = [browser.open("all"), browser.open("all")];
  await browser.run(1_500);
  const random = new Random(3);
  const vandal = browser.world.open().edges.openBus(groupName(OPTIONS), () => undefined);
  for (let i = 0; i < 300; i += 1) {
    const body = random.pick(BODIES) ?? [];
    const garbage = random.pick([
      [], [BUS_VERSION], [BUS_VERSION, 1, {}, "beat"], [...body], [BUS_VERSION, "x", 5, ...body],
      [BUS_VERSION, "x", "", "message", 0, "", "", []], [BUS_VERSION, "x", "", "request", 1, {}], [BUS_VERSION, "x", "", "hello", {}, true],
    ] as unknown[][]);
    vandal?.post(garbage ?? []);
    await browser.run(10);
    expect(browser.masters()).toHaveLength(1);
  }
  browser.server.publish("all", "still here", false);
  await browser.run(100);
  expect(pages.map((page) => page.seen.get("still here"))).toEqual([1, 1]);
});

test.each(Object.entries(WAYS))("%s: a tab that claims to be master and is silent is replaced within a second", async (_, features) => {
  const browser = new Browser(4, features);
  const pages = [browser.open("all"), browser.open("all")];
  await browser.run(1_500);
  const vandal = browser.world.open().edges.openBus(groupName(OPTIONS), () => undefined);
  vandal?.post(said("zzz", "", ["beat", 2 ** 50, 0, false]));
  await browser.run(2_000);
  expect(browser.masters()).toHaveLength(1);
  browser.server.publish("all", "still here", false);
  await browser.run(100);
  expect(pages.map((page) => page.seen.get("still here"))).toEqual([1, 1]);
});

test("tabs meet only if they would open the same connection, under a name that does not tell the key", () => {
  const names = [
    OPTIONS, { ...OPTIONS, nodes: ["ws://g"] }, { ...OPTIONS, nodes: ["ws://h", "ws://g"] }, { ...OPTIONS, devId: "2" },
    { ...OPTIONS, userId: "8" }, { ...OPTIONS, userKey: "another" }, { ...OPTIONS, chosen: true }, { ...OPTIONS, chosen: true, uuid: "other" },
    { ...OPTIONS, userId: "", userKey: "7secret-key" },
  ].map(groupName);
  expect(new Set(names).size).toBe(names.length);
  expect(groupName({ ...OPTIONS, statistics: true })).toBe(names[0]);
  // Tabs of a first visit, or without storage, each have an id of their own.
  expect(groupName({ ...OPTIONS, uuid: "other" })).toBe(names[0]);
  for (const name of names) expect(name).toMatch(/^comet\d+\.[0-9a-z]{2,14}$/);
});

test("the digest is the same everywhere, and spreads", () => {
  expect(digest("")).toBe(digest(""));
  const seen = new Set(Array.from({ length: 20_000 }, (_, i) => digest(`key-${i}`)));
  expect(seen.size).toBe(20_000);
  expect(new Set([...seen].map((text) => text.length)).size).toBeLessThan(8);
});
