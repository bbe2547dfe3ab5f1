// What tabs take from each other, and under which name they meet (protocol.md 9.5): whatever another script of the site
// puts on the line changes nothing.

import { expect, test } from "vitest";
import { digest, groupName } from "../src/tabs/group.js";
import { BUS_VERSION, envelope, parseMessage, type BusBody } from "../src/tabs/message.js";
import { Browser, OPTIONS, WAYS } from "./tabs_pages.js";
import { Random } from "./tabs_sim.js";

const INCOMING = { pipe: "a", event: "", data: { x: [1] }, userId: 1, history: false, fromQueue: false, uuid: undefined, time: 1 };

const BODIES: readonly BusBody[] = [
  { kind: "hello", channels: ["a"], awake: true },
  { kind: "request", id: 1, command: { kind: "send", channel: "web_a", anonymous: false, event: "", body: "1", sendKey: "k-1" } },
  { kind: "request", id: 1, command: { kind: "history", channel: "a" } },
  { kind: "request", id: 1, command: { kind: "userData", user: "7" } },
  { kind: "abort", id: 1 },
  { kind: "handled", number: 1 },
  { kind: "reconnect" },
  { kind: "ping", number: 1 },
  { kind: "claim" },
  { kind: "yield" },
  { kind: "bye" },
  { kind: "beat", term: 1, at: 1.5, roll: false },
  { kind: "status", term: 1, status: { state: "open", authorized: true, showsKey: true, server: "s" } },
  { kind: "status", term: 1, status: { state: "refused", showsKey: false, server: "", error: { code: "no_credentials", message: "m" } } },
  { kind: "error", term: 1, error: { code: "bad_frame", message: "m" } },
  { kind: "message", number: 1, key: "", except: "", message: INCOMING },
  { kind: "answer", id: 1, answer: { kind: "send", receivers: 1, repeated: false } },
  { kind: "answer", id: 1, answer: { kind: "history", messages: [INCOMING] } },
  { kind: "answer", id: 1, answer: { kind: "users", visitors: [{ userId: 1, uuid: "u" }] } },
  { kind: "failed", id: 1, error: { code: "timeout", message: "m" } },
];

test("what one tab says another understands, over a channel and over the store", () => {
  for (const body of BODIES) {
    const message = envelope("from", "to", body);
    expect(parseMessage(structuredClone(message))).toEqual(message);
    expect(parseMessage(JSON.parse(JSON.stringify(message)))).toMatchObject(JSON.parse(JSON.stringify(message)) as object);
  }
});

test("a message of another version, or with any part missing or of another type, is none", () => {
  for (const body of BODIES) {
    const message = envelope("from", "to", body);
    expect(parseMessage({ ...message, comet: BUS_VERSION + 1 })).toBe(undefined);
    for (const broken of breakings(message)) expect(parseMessage(broken), JSON.stringify(broken)).toBe(undefined);
  }
  for (const value of [undefined, null, 0, "", [], {}, { kind: "beat" }, { comet: 1, from: "a", to: "" }, { comet: 1, from: "a", to: "", kind: "constructor" }]) {
    expect(parseMessage(value)).toBe(undefined);
  }
});

/** All copies of a value in which one part is of a type that it never has. */
function breakings(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => {
    if (part === undefined || key === "data") return [];
    const broken = [Symbol.iterator, ...breakings(part)];
    return broken.map((other) => (Array.isArray(value) ? [other] : { ...value, [key]: other }));
  });
}

test.each(Object.entries(WAYS))("%s: garbage on the line neither stops nor misleads a tab", async (_, features) => {
  const browser = new Browser(3, features);
  const pages = [browser.open("all"), browser.open("all")];
  await browser.run(1_500);
  const random = new Random(3);
  const vandal = browser.world.open().edges.openBus(groupName(OPTIONS), () => undefined);
  for (let i = 0; i < 300; i += 1) {
    const body = random.pick(BODIES);
    const garbage = random.pick([{}, { comet: 1 }, { comet: 1, from: 1, to: {}, kind: "beat" }, { ...body }, { ...body, comet: 1, from: "x", to: 5 }]);
    vandal?.post(garbage ?? {});
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
  vandal?.post(envelope("zzz", "", { kind: "beat", term: 2 ** 50, at: 0, roll: false }));
  await browser.run(2_000);
  expect(browser.masters()).toHaveLength(1);
  browser.server.publish("all", "still here", false);
  await browser.run(100);
  expect(pages.map((page) => page.seen.get("still here"))).toEqual([1, 1]);
});

test("tabs meet only if they would open the same connection, under a name that does not tell the key", () => {
  const names = [
    OPTIONS, { ...OPTIONS, nodes: ["ws://g"] }, { ...OPTIONS, nodes: ["ws://h", "ws://g"] }, { ...OPTIONS, devId: "2" },
    { ...OPTIONS, userId: "8" }, { ...OPTIONS, userKey: "another" }, { ...OPTIONS, uuid: "other" },
    { ...OPTIONS, userId: "", userKey: "7secret-key" },
  ].map(groupName);
  expect(new Set(names).size).toBe(names.length);
  expect(groupName({ ...OPTIONS, statistics: true })).toBe(names[0]);
  for (const name of names) expect(name).toMatch(/^comet\d+\.[0-9a-z]{1,11}$/);
});

test("the digest is the same everywhere, and spreads", () => {
  expect(digest("")).toBe(digest(""));
  const seen = new Set(Array.from({ length: 20_000 }, (_, i) => digest(`key-${i}`)));
  expect(seen.size).toBe(20_000);
  expect(new Set([...seen].map((text) => text.length)).size).toBeLessThan(6);
});
