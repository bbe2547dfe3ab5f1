// Several nodes at once (protocol.md 9.2, `roundrobin` false).

import { describe, expect, test } from "vitest";
import { DirectLink } from "../src/direct_link.js";
import { OPTIONS, Page, settle, World, type Peer } from "./link_support.js";
import { frames, send } from "./session_support.js";

const NODES = ["ws://one", "ws://two"];

function started(nodes = NODES) {
  const world = new World();
  const page = new Page();
  const link = new DirectLink(page, world.edges);
  link.channels(["web_chat"]);
  link.start({ ...OPTIONS, nodes });
  const [one, two] = world.peers as [Peer, Peer];
  return { world, page, link, one, two };
}

function words(peer: Peer): string[] {
  return peer.take().map((text) => text.split("\n").join(" "));
}

describe("several nodes", () => {
  test("it is open when any is, and the best one tells who we are", () => {
    const { link, one, two } = started();
    one.drop();
    expect(link.status.state).toBe("connecting");
    two.say(frames.serverInfo({ server: "two" }));
    expect(link.status).toMatchObject({ state: "open", server: "two", error: undefined });
    two.drop();
    expect(link.status.state).toBe("waiting");
  });

  test("every node is told the channels, every command goes to all, the first success is the answer", async () => {
    const { link, one, two } = started();
    one.say(frames.serverInfo());
    two.say(frames.serverInfo());
    const answer = link.request(send("a"));
    expect(words(one)).toEqual(["subscription 1 web_chat", "web_pipe2 2 web_chat say key_of_a a"]);
    expect(words(two)).toEqual(["subscription 1 web_chat", "web_pipe2 2 web_chat say key_of_a a"]);
    one.say(frames.error("store_unavailable", 2));
    two.say(frames.report(2, { number_messages: 1 }));
    expect(await answer).toMatchObject({ number_messages: 1 });
  });

  test("it fails when all failed, with the last reason", async () => {
    const { link, one, two } = started();
    one.say(frames.serverInfo());
    two.say(frames.serverInfo());
    const answer = link.request(send("a"));
    two.say(frames.error("store_unavailable", 2));
    one.say(frames.error("not_authorized", 2));
    await expect(answer).rejects.toMatchObject({ code: "not_authorized" });
  });

  test("a node that is away does not send it long after", async () => {
    const { world, link, one, two } = started();
    one.say(frames.serverInfo());
    const answer = link.request(send("a"));
    one.say(frames.report(2));
    await answer;
    two.say(frames.serverInfo());
    await world.clock.pass(0);
    expect(words(two)).toEqual(["subscription 1 web_chat"]);
  });

  test("a message that comes over both reaches the page once", () => {
    const { page, one, two } = started();
    one.say(frames.serverInfo(), frames.message("a", { uuid: "m1" }));
    two.say(frames.serverInfo(), frames.message("a", { uuid: "m1" }));
    expect(page.messages).toHaveLength(1);
  });

  test("a private message is acknowledged on every connection it came over", async () => {
    const { world, page, one, two } = started(NODES);
    let finish = () => {};
    page.handle = () => new Promise<void>((resolve) => (finish = resolve));
    one.say(frames.serverInfo(), frames.private("u1"));
    two.say(frames.serverInfo(), frames.private("u1"));
    finish();
    await world.clock.pass(0);
    expect(words(one)).toEqual(["subscription 1 web_chat", "ack u1"]);
    expect(words(two)).toEqual(["subscription 1 web_chat", "ack u1"]);
    expect(page.messages).toHaveLength(1);
  });

  test("a restart may change the nodes; what waits goes to the new ones too", async () => {
    const { world, page, link } = started(["ws://one"]);
    const answer = link.request(send("a"));
    link.restart({ ...OPTIONS, nodes: ["ws://three", "ws://four"] });
    const four = world.peer;
    expect(world.peers.map(({ url }) => url.split("/ws/")[0])).toEqual(["ws://one", "ws://three", "ws://four"]);
    four.say(frames.serverInfo());
    expect(words(four)).toEqual(["subscription 1 web_chat", "web_pipe2 2 web_chat say key_of_a a"]);
    link.restart({ ...OPTIONS, nodes: ["ws://five"] });
    await settle();
    expect(four.closed).toBe(true);
    world.peer.say(frames.serverInfo());
    expect(words(world.peer)).toEqual(["subscription 1 web_chat", "web_pipe2 2 web_chat say key_of_a a"]);
    world.peer.say(frames.report(2));
    await answer;
    expect(page.errors).toEqual([]);
  });
});
