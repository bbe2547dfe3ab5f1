// The chat's memory: a message is there once however it comes, histories keep the server's order, damaged storage does no harm.

import { describe, expect, it } from "vitest";
import {
  TALK_MAX, TEXT_MAX, adopt, ago, append, fromChannel, markRead, mergeHistory, newTalk, readBody, restoreTalks, unreadAfter,
  type Said,
} from "../../../runtime/src/http/site/demo_talks.js";

const said = (key: string, more: Partial<Said> = {}): Said =>
  ({ key, from: 2, text: key, at: 1000, state: "received", note: "", ...more });
const keys = (messages: Said[]): string[] => messages.map((message) => message.key);

describe("a message of a channel", () => {
  it("is read whoever sent it", () => {
    expect(readBody({ id: "a1", text: "hi" })).toEqual({ id: "a1", text: "hi" });
    expect(readBody("plain").text).toBe("plain");
    expect(readBody({ other: 1 }).text).toBe('{"other":1}');
    expect(readBody(null).text).toBe("null");
    expect(readBody(undefined).text).toBe("");
    expect(readBody({ id: "no spaces allowed", text: 7 }).id).toBeUndefined();
    expect(readBody("x".repeat(TEXT_MAX + 1)).text.length).toBe(TEXT_MAX + 2);
  });

  it("has the same key live, from the history and when sent", () => {
    const incoming = { data: { id: "a1", text: "hi" }, userId: 7, uuid: "u", time: 5 };
    expect(fromChannel(incoming, 7, 0)).toEqual({ key: "7:a1", from: 7, text: "hi", at: 5000, state: "sent", note: "" });
    expect(fromChannel({ ...incoming, uuid: undefined }, 9, 0).key).toBe("7:a1");
  });

  it("cannot take the key of somebody else's", () => {
    expect(fromChannel({ data: { id: "a1", text: "" }, userId: 8, uuid: "u", time: 5 }, 9, 0).key).toBe("8:a1");
    expect(fromChannel({ data: { id: "a1", text: "" }, userId: 0, uuid: "u", time: 5 }, 9, 0).key).toBe("u");
  });
});

describe("a talk", () => {
  it("holds a message once, and a bounded number of them", () => {
    const talk = newTalk();
    expect(append(talk, said("a"))).toBe(true);
    expect(append(talk, said("a"))).toBe(false);
    for (let number = 0; number < TALK_MAX; number += 1) append(talk, said(`n${number}`));
    expect(talk.messages.length).toBe(TALK_MAX);
    expect(talk.messages[0]?.key).toBe("n0");
  });

  it("takes the order of a history and keeps what the history does not know on its side", () => {
    const talk = newTalk();
    for (const key of ["old", "b", "pending"]) append(talk, said(key));
    const fresh = mergeHistory(talk, ["a", "b", "c"].map((key) => said(key)));
    expect(keys(fresh)).toEqual(["a", "c"]);
    expect(keys(talk.messages)).toEqual(["old", "a", "b", "c", "pending"]);
  });

  it("keeps the report of a message the history confirms, and drops its failure", () => {
    const talk = newTalk();
    append(talk, said("a", { state: "sending", note: "seen by 2" }));
    append(talk, said("b", { state: "failed", note: "timeout" }));
    mergeHistory(talk, [said("a", { state: "sent", at: 7 }), said("b", { state: "sent" })]);
    expect(talk.messages[0]).toMatchObject({ state: "sent", note: "seen by 2", at: 7 });
    expect(talk.messages[1]).toMatchObject({ state: "sent", note: "" });
  });

  it("counts what came after the last one read", () => {
    const talk = newTalk();
    expect(markRead(talk)).toBeUndefined();
    for (const key of ["a", "b", "c"]) append(talk, said(key));
    append(talk, said("mine", { state: "sent" }));
    expect(unreadAfter(talk, "a")).toBe(2);
    expect(unreadAfter(talk, "gone")).toBe(3);
    expect(unreadAfter(talk, undefined)).toBe(0);
    expect(markRead(talk)).toBe("mine");
  });

  it("takes over what another tab knew", () => {
    const talk = newTalk();
    append(talk, said("b", { at: 2 }));
    adopt(talk, { unread: 0, messages: [said("c", { at: 3 }), said("b", { at: 2 }), said("a", { at: 1 })] });
    expect(keys(talk.messages)).toEqual(["a", "b", "c"]);
  });
});

it("leaves out of a damaged storage what is no conversation", () => {
  const good = { unread: 2, messages: [said("a"), { key: 1 }, null, said("b", { at: Number.NaN })] };
  const talks = restoreTalks({ 7: good, x: good, 8: { messages: "no" }, 9: null, "-1": good });
  expect([...talks.keys()]).toEqual([7]);
  expect(talks.get(7)).toMatchObject({ unread: 2, messages: [said("a")] });
  for (const damaged of [undefined, null, 5, "text", []]) expect(restoreTalks(damaged).size).toBe(0);
});

it("tells time in words", () => {
  expect([0, 59, 60, 125, 3600, 90_000, 200_000].map(ago)).toEqual(
    ["just now", "just now", "1 minute ago", "2 minutes ago", "1 hour ago", "1 day ago", "2 days ago"]);
});
