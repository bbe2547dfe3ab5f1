// Messages as an async iteration: order, bounds, endings, and when a message counts as handled.

import { beforeEach, expect, test } from "vitest";
import { CometClient } from "../src/modern.js";
import { CometError } from "../src/errors.js";
import { FakeEnv, settle, type FakeLink } from "./face_support.js";

let comet: CometClient;
let link: FakeLink;

beforeEach(() => {
  const env = new FakeEnv();
  comet = new CometClient(env, { autostart: false });
  link = env.link;
});

const say = (data: unknown) => link.receive({ pipe: "chat", event: "say", data });

test("in order, whether they came before or after they were asked for", async () => {
  const messages = comet.messages("chat.say");
  void say(1);
  void say(2);
  const first = [messages.next(), messages.next(), messages.next()];
  void say(3);
  expect((await Promise.all(first)).map(({ value }) => value.data)).toEqual([1, 2, 3]);
});

test("break leaves the channel", async () => {
  const seen: unknown[] = [];
  const loop = (async () => {
    for await (const { data } of comet.messages("chat.say")) {
      seen.push(data);
      if (data === 2) break;
    }
  })();
  await settle();
  expect(link.declared).toEqual(["chat"]);
  void say(1);
  void say(2);
  void say(3);
  await loop;
  await settle();
  expect(seen).toEqual([1, 2]);
  expect(link.declared).toEqual([]);
});

test("a message counts as handled when the loop comes back, or ends", async () => {
  const messages = comet.messages("msg");
  const handled: number[] = [];
  for (const n of [1, 2, 3]) void Promise.resolve(link.receive({ pipe: "msg", data: n })).then(() => handled.push(n));
  await settle();
  expect(handled).toEqual([]);
  await messages.next();
  await settle();
  expect(handled).toEqual([]);
  await messages.next();
  await settle();
  expect(handled).toEqual([1]);
  await messages.return?.();
  await settle();
  expect(handled).toEqual([1, 2, 3]);
});

test("one more than the limit ends it with queue_full after what is buffered", async () => {
  const messages = comet.messages("chat.say", { limit: 2 });
  for (const n of [1, 2, 3, 4]) void say(n);
  await settle();
  expect(link.declared).toEqual([]);
  expect((await messages.next()).value.data).toBe(1);
  expect((await messages.next()).value.data).toBe(2);
  const error: unknown = await messages.next().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CometError);
  expect((error as CometError).code).toBe("queue_full");
  expect((await messages.next()).done).toBe(true);
});

test("the default limit is 1,000", async () => {
  const messages = comet.messages("chat.say");
  for (let n = 0; n < 1000; n += 1) void say(n);
  await settle();
  expect(link.declared).toEqual(["chat"]);
  void say(1000);
  await settle();
  expect(link.declared).toEqual([]);
  await messages.return?.();
});

test("a signal ends it without an error, and wakes who waits", async () => {
  const stop = new AbortController();
  const messages = comet.messages("chat.say", { signal: stop.signal });
  const waiting = messages.next();
  stop.abort();
  expect((await waiting).done).toBe(true);
  await settle();
  expect(link.declared).toEqual([]);
  const late = comet.messages("chat.say", { signal: stop.signal });
  expect((await late.next()).done).toBe(true);
});

test("close ends all of them", async () => {
  const [a, b] = [comet.messages("chat"), comet.messages("msg")];
  const waiting = [a.next(), b.next()];
  comet.close();
  expect((await Promise.all(waiting)).map(({ done }) => done)).toEqual([true, true]);
});
