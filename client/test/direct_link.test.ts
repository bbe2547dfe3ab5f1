// The link of one tab with one node: what its page sees.

import { describe, expect, test } from "vitest";
import { DirectLink, HANDLER_TIMEOUT } from "../src/direct_link.js";
import { OPTIONS, Page, settle, World } from "./link_support.js";
import { COUNT, frames, HISTORY, send } from "./session_support.js";

function linked() {
  const world = new World();
  const page = new Page();
  const link = new DirectLink(page, world.edges);
  return { world, page, link };
}

function open() {
  const all = linked();
  all.link.start(OPTIONS);
  all.world.peer.say(frames.serverInfo());
  return all;
}

/** How a promise ended. */
async function end(promise: Promise<unknown>): Promise<unknown> {
  return promise.then((value) => value, (error: { code: string }) => error.code);
}

describe("starting and stopping", () => {
  test("connects with the parameters of protocol.md 2.2 and tells the status", () => {
    const { world, page, link } = linked();
    expect(link.status).toEqual({ state: "idle", authorized: undefined, realKey: "", server: "", error: undefined, master: true });
    link.start(OPTIONS);
    expect(world.peer.url).toBe("ws://node:8087/ws/sesion=k&myid=7&devid=0&v=5.0&uuid=browser&api=js");
    world.peer.say(frames.serverInfo({ data: "k" }));
    expect(page.statuses.map(({ state }) => state)).toEqual(["connecting", "open"]);
    expect(link.status).toMatchObject({ state: "open", authorized: true, realKey: "k", master: true });
  });

  test("a second start with the same options does nothing, with others it reconnects", () => {
    const { world, link } = open();
    link.start({ ...OPTIONS });
    expect(world.peers).toHaveLength(1);
    link.start({ ...OPTIONS, userKey: "other" });
    expect(world.peers.map(({ closed }) => closed)).toEqual([true, false]);
    expect(world.peer.url).toContain("sesion=other");
    link.restart({ ...OPTIONS, userKey: "other" });
    expect(world.peers).toHaveLength(3);
  });

  test("new credentials of the same user keep what waits; another user does not send it", async () => {
    const { world, link } = linked();
    link.start({ ...OPTIONS, userId: "" });
    const answers = [end(link.request(send("a")))];
    link.restart(OPTIONS);
    link.restart({ ...OPTIONS, userKey: "fresh" });
    world.peer.say(frames.serverInfo());
    expect(world.peer.take()).toHaveLength(1);
    link.restart({ ...OPTIONS, userId: "8" });
    expect(await Promise.all(answers)).toEqual(["stopped"]);
    world.peer.say(frames.serverInfo());
    expect(world.peer.take()).toEqual([]);
  });

  test("stop ends it, rejects what waits, and start begins again", async () => {
    const { world, page, link } = open();
    const waiting = end(link.request(send("a")));
    link.stop();
    expect(await waiting).toBe("stopped");
    expect(world.peer.closed).toBe(true);
    expect(world.listeners.size).toBe(0);
    expect(page.statuses.at(-1)?.state).toBe("stopped");
    await world.clock.pass(600_000);
    expect(world.peers).toHaveLength(1);
    link.start(OPTIONS);
    expect(world.peers).toHaveLength(2);
    expect(world.listeners.size).toBe(1);
  });

  test("what was asked before start is sent when it is open", async () => {
    const { world, link } = linked();
    link.channels(["web_chat"]);
    const answer = end(link.request(send("a")));
    link.start(OPTIONS);
    world.peer.say(frames.serverInfo());
    expect(world.peer.take()).toEqual(["subscription 1\nweb_chat", "web_pipe2 2\nweb_chat\nsay\nkey_of_a\na"]);
    world.peer.say(frames.report(2));
    expect(await answer).toEqual({ number_messages: 2, error: "" });
  });

  test("a connection that is dropped comes back by itself, also after a clean close", async () => {
    const { world, page } = open();
    world.peer.drop();
    expect(page.statuses.at(-1)).toMatchObject({ state: "waiting", error: { code: "unreachable" } });
    await world.clock.pass(2_000);
    expect(world.peers).toHaveLength(2);
  });

  test("no_websocket is a status, and nothing keeps the process alive", () => {
    const { world, link } = linked();
    world.refusal = "no_websocket";
    link.start(OPTIONS);
    expect(link.status).toMatchObject({ state: "refused", error: { code: "no_websocket" } });
    expect(world.clock.step(Infinity)).toBe(false);
    world.refusal = undefined;
    link.restart(OPTIONS);
    expect(world.peers).toHaveLength(1);
  });

  test("unreachable is a status, not an exception, and no hot loop", async () => {
    const { world, page, link } = linked();
    world.refusal = "unreachable";
    link.start(OPTIONS);
    expect(link.status).toMatchObject({ state: "waiting", error: { code: "unreachable" } });
    await world.clock.pass(3_600_000);
    expect(page.statuses.length).toBeLessThan(1_000);
    world.refusal = undefined;
    await world.clock.pass(30_000);
    expect(world.peers).toHaveLength(1);
  });

  test("without network it says so and comes back with it", async () => {
    const { world, link } = linked();
    world.isOnline = false;
    link.start(OPTIONS);
    world.peer.drop();
    expect(link.status.state).toBe("offline");
    world.tell("online");
    await world.clock.pass(500);
    expect(world.peers).toHaveLength(2);
  });

  test("a socket that takes nothing any more counts as closed", async () => {
    const { world, link } = open();
    world.peer.closed = true;
    const answer = end(link.request(send("a")));
    expect(link.status.state).toBe("waiting");
    await world.clock.pass(2_000);
    world.peer.say(frames.serverInfo());
    expect(world.peer.take()).toEqual(["web_pipe2 2\nweb_chat\nsay\nkey_of_a\na"]);
    world.peer.say(frames.report(2));
    expect(await answer).toMatchObject({ number_messages: 2 });
  });
});

describe("requests", () => {
  test("each kind gets its answer (S45, S57, S58)", async () => {
    const { world, link } = open();
    const all = [
      link.request(COUNT), link.request({ kind: "users", channel: "track_a" }), link.request({ kind: "userData", user: "9" }),
      link.request({ kind: "status", user: "9" }), link.request({ kind: "statistics", body: "{}" }), link.request(HISTORY),
    ];
    expect(world.peer.take()).toEqual([
      "pipe_count 1\nweb_chat\n", "track_pipe_users 2\ntrack_a\n", "user_data 3\n\n9", "user_status 4\n9", "statistics 5\n{}", "pipe_log 6\nweb_chat\n",
    ]);
    world.peer.say(
      frames.answer(6, "pipe_log", { messages: 0 }), frames.answer(5, "statistics", {}),
      { ...frames.answer(4, "user_status_9", { data: -1, last_online_time: -1 }), pipe: "_answer_user_status" },
      frames.answer(3, "answer", { user_id: 9, user_data: "text" }), frames.answer(2, "answer", [{ user_id: 7, uuid: "u" }]),
      { ...frames.answer(1, "user_in_pipe", { user_in_pipe: 3 }), pipe: "_answer_pipe_count" },
    );
    expect(await Promise.all(all)).toEqual([
      { user_in_pipe: 3 }, [{ user_id: 7, uuid: "u" }], { user_id: 9, user_data: "text" }, { data: -1, last_online_time: -1 }, {}, [],
    ]);
  });

  test("errors are rejections with a code", async () => {
    const { world, link, page } = open();
    const answer = end(link.request(HISTORY));
    world.peer.say(frames.error("not_authorized", 1));
    expect(await answer).toBe("not_authorized");
    expect(page.errors).toEqual([]);
  });

  test("an abort takes it back; later it does nothing", async () => {
    const { world, link } = linked();
    const [before, meanwhile, after] = [new AbortController(), new AbortController(), new AbortController()];
    before.abort();
    const results = [before, meanwhile, after].map(({ signal }, at) => end(link.request(send(`m${at}`), signal)));
    meanwhile.abort();
    link.start(OPTIONS);
    world.peer.say(frames.serverInfo());
    expect(world.peer.take().map((text) => text.split("\n")[4])).toEqual(["m2"]);
    world.peer.say(frames.report(1));
    await settle();
    after.abort();
    expect(await Promise.all(results)).toEqual(["aborted", "aborted", { number_messages: 2, error: "" }]);
  });
});

describe("handlers", () => {
  test("a private message is acknowledged when what receive returned has settled", async () => {
    const { world, page } = open();
    let finish = () => {};
    page.handle = () => new Promise<void>((resolve) => (finish = resolve));
    world.peer.say(frames.private("u1"));
    await world.clock.pass(1_000);
    expect(world.peer.take()).toEqual([]);
    finish();
    await world.clock.pass(0);
    expect(world.peer.take()).toEqual(["ack\nu1"]);
  });

  test("several that are done in one turn are acknowledged at once", async () => {
    const { world } = open();
    world.peer.say(frames.private("u1"), frames.private("u2"), frames.private("u3"));
    await world.clock.pass(0);
    expect(world.peer.take()).toEqual(["ack\nu3"]);
  });

  test(`one that never settles counts as done after ${HANDLER_TIMEOUT} ms, before the server loses patience`, async () => {
    const { world, page } = open();
    page.handle = () => new Promise(() => {});
    world.peer.say(frames.private("u1"));
    await world.clock.pass(HANDLER_TIMEOUT - 1);
    expect(world.peer.take()).toEqual([]);
    await world.clock.pass(1);
    expect(world.peer.take()).toEqual(["ack\nu1"]);
  });

  test("what they throw or reject is reported and harms nothing", async () => {
    const { world, page } = open();
    const broken = [() => { throw new Error("thrown"); }, () => Promise.reject(new Error("rejected"))];
    page.handle = () => broken.shift()?.();
    world.peer.say(frames.private("u1"), frames.message("a"), frames.private("u2"));
    await world.clock.pass(0);
    expect(world.reported).toEqual([new Error("thrown"), new Error("rejected")]);
    expect(page.messages).toHaveLength(3);
    expect(world.peer.take()).toEqual(["ack\nu2"]);
    const angry = new DirectLink({ ...page, receive: () => undefined, status: () => { throw new Error("status"); }, error: () => { throw new Error("error"); } }, world.edges);
    angry.start(OPTIONS);
    world.peer.say(frames.serverInfo(), "nonsense");
    expect(world.reported.slice(2)).toEqual([new Error("status"), new Error("status"), new Error("error")]);
    expect(angry.status.state).toBe("open");
  });

  test("they may call the link", () => {
    const { world, page, link } = open();
    page.handle = ({ data }) => {
      if (data === "go") link.channels(["web_new"]);
      if (data === "stop") link.stop();
    };
    world.peer.say(frames.message("go"), frames.message("stop"), frames.message("never"));
    expect(page.messages.map(({ data }) => data)).toEqual(["go", "stop"]);
    expect(link.status.state).toBe("stopped");
  });
});
