// Against a model server behind a network that breaks at every point: nothing lost, nothing doubled, order kept
// (protocol-v5.md 3 and 4). A failing run is repeated by its seed.

import type { Answers } from "../src/types.js";
import { describe, expect, test } from "vitest";
import { DirectLink } from "../src/direct_link.js";
import { Clock, OPTIONS, Page, World } from "./link_support.js";
import { ModelServer } from "./session_model.js";
import { seeded, send } from "./session_support.js";

const SEEDS = 60;
const CHANNELS = ["web_a", "web_b", "web_c"];
/** Milliseconds of disturbance, and of calm afterwards. */
const ROUGH = 60_000;
const CALM = 180_000;

interface Run {
  readonly clock: Clock;
  readonly server: ModelServer;
  readonly random: () => number;
  page(uuid: string): { readonly link: DirectLink; readonly page: Page; readonly world: World };
}

function begin(seed: number): Run {
  const random = seeded(seed);
  const clock = new Clock();
  const server = new ModelServer(clock, random);
  return {
    clock, server, random,
    page(uuid) {
      const world = new World(random);
      const page = new Page();
      const link = new DirectLink(page, { ...world.edges, now: () => clock.now, timer: (run, ms) => clock.timer(run, ms), soon: (run) => void clock.timer(run, 0), connect: server.connect });
      link.start({ ...OPTIONS, uuid });
      return { link, page, world };
    },
  };
}

/** Something happens again and again at random until the calm. */
function often(run: Run, mean: number, act: () => void): void {
  run.clock.timer(() => {
    if (run.clock.now >= ROUGH) return;
    act();
    often(run, mean, act);
  }, run.random() * 2 * mean);
}

function disturb(run: Run): void {
  const { server, random } = run;
  often(run, 2_500, () => {
    for (const connection of [...server.connections]) if (random() < 0.5) connection.break(random() < 0.15);
  });
  often(run, 15_000, () => {
    server.up = false;
    run.clock.timer(() => (server.up = true), random() * 3_000);
  });
}

/** Bodies by channel, in order. */
function byChannel(list: readonly { readonly channel: string; readonly body: string }[]): Record<string, string[]> {
  const result: Record<string, string[]> = {};
  for (const { channel, body } of list) (result[channel] ??= []).push(body);
  return result;
}

/** True if `part` has its members in the order of `whole`, each once. */
function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0;
  for (const one of whole) if (part[at] === one) at += 1;
  return at === part.length;
}

async function sendThroughTrouble(seed: number, commandsPerSecond: number, forgetful: boolean) {
  const run = begin(seed);
  const { server, random } = run;
  server.commandsPerSecond = commandsPerSecond;
  const writer = run.page("writer");
  const reader = run.page("reader");
  reader.link.channels(CHANNELS);
  const sent: { channel: string; body: string }[] = [];
  const ends: unknown[] = [];
  often(run, 300, () => {
    for (let more = random() < 0.02 ? 60 : 1; more > 0; more -= 1) {
      const channel = CHANNELS[Math.floor(random() * CHANNELS.length)] ?? "web_a";
      const body = `m${sent.length}`.padEnd(10, "_");
      sent.push({ channel, body });
      writer.link.request(send(body, channel)).then(() => ends.push("send"), (error: { code: string }) => ends.push(error.code));
    }
  });
  disturb(run);
  if (forgetful) often(run, 8_000, () => server.forget());
  await run.clock.pass(ROUGH + CALM);
  return { run, sent, ends, heard: reader.page.messages.map(({ pipe, data }) => ({ channel: pipe, body: String(data) })) };
}

describe("sends through a network that breaks", () => {
  test.each([["no limit of commands", Infinity, 1_000], ["a limit of 40 commands a second", 40, 2_000]])("are accepted once, in order, each with its report: %s", async (_, limit, from) => {
    let messages = 0;
    for (let seed = from; seed < from + SEEDS; seed += 1) {
      const { run, sent, ends, heard } = await sendThroughTrouble(seed, limit, false);
      const accepted = byChannel(run.server.accepted);
      expect(ends.filter((end) => end !== "send"), `seed ${seed}`).toEqual([]);
      for (const channel of CHANNELS) expect(new Set(accepted[channel]), `seed ${seed}`).toEqual(new Set(byChannel(sent)[channel]));
      expect(run.server.accepted, `seed ${seed}`).toHaveLength(sent.length);
      if (limit === Infinity) expect(accepted, `seed ${seed}`).toEqual(byChannel(sent));
      expect(ends, `seed ${seed}`).toHaveLength(sent.length);
      for (const channel of CHANNELS) expect(isSubsequence(byChannel(heard)[channel] ?? [], accepted[channel] ?? []), `seed ${seed}`).toBe(true);
      messages += sent.length;
    }
    expect(messages).toBeGreaterThan(SEEDS * 200);
  }, 120_000);

  test("what a server forgot and accepts again, readers still get once (protocol-v5.md 3)", async () => {
    let doubled = 0;
    for (let seed = 3_000; seed < 3_000 + SEEDS; seed += 1) {
      const { run, heard } = await sendThroughTrouble(seed, Infinity, true);
      doubled += run.server.accepted.length - new Set(run.server.accepted.map(({ id }) => id)).size;
      expect(new Set(heard.map(({ body }) => body)).size, `seed ${seed}`).toBe(heard.length);
    }
    // Otherwise this has tested nothing.
    expect(doubled).toBeGreaterThan(0);
  }, 120_000);
});

describe("private messages through a network that breaks (Q31)", () => {
  test("a page that stays alive gets each once and in order, and all are paid", async () => {
    for (let seed = 5_000; seed < 5_000 + SEEDS; seed += 1) {
      const run = begin(seed);
      const { page } = run.page("browser");
      page.handle = () => new Promise<void>((resolve) => void run.clock.timer(resolve, run.random() * 4_000));
      let inserted = 0;
      often(run, 400, () => run.server.insert(`p${(inserted += 1)}`));
      disturb(run);
      await run.clock.pass(ROUGH + CALM);
      expect(page.messages.map(({ data }) => data), `seed ${seed}`).toEqual(Array.from({ length: inserted }, (_, at) => `p${at + 1}`));
      expect(run.server.debts, `seed ${seed}`).toEqual([]);
    }
  }, 120_000);

  test("a page that dies before it handled one loses nothing: the next page gets it", async () => {
    for (let seed = 6_000; seed < 6_000 + SEEDS; seed += 1) {
      const run = begin(seed);
      const handled = new Set<unknown>();
      const born = () => {
        let alive = true;
        const { page, world, link } = run.page("browser");
        page.handle = ({ data }) => new Promise<void>((resolve) => {
          run.clock.timer(() => {
            if (alive) handled.add(data);
            resolve();
          }, run.random() * 2_000);
        });
        return () => {
          alive = false;
          world.listeners.clear();
          link.stop();
        };
      };
      let die = born();
      let inserted = 0;
      often(run, 300, () => run.server.insert(`p${(inserted += 1)}`));
      often(run, 3_000, () => {
        die();
        die = born();
      });
      disturb(run);
      await run.clock.pass(ROUGH + CALM);
      expect(handled.size, `seed ${seed}`).toBe(inserted);
      expect(run.server.debts, `seed ${seed}`).toEqual([]);
    }
  }, 120_000);
});

describe("questions through a network that breaks", () => {
  test("every one ends, and a history is complete and has nothing twice", async () => {
    for (let seed = 7_000; seed < 7_000 + SEEDS; seed += 1) {
      const run = begin(seed);
      const { link } = run.page("browser");
      let asked = 0;
      let ended = 0;
      let sent = 0;
      often(run, 700, () => void link.request(send(`m${(sent += 1)}`.padEnd(8, "_"), "web_a")).catch(() => undefined));
      often(run, 500, () => {
        asked += 1;
        link.request({ kind: "history", channel: "web_a" }).then((answer) => {
          const bodies = (answer as Answers["history"]).map(({ data }) => data);
          expect(bodies, `seed ${seed}`).toEqual(run.server.accepted.slice(0, bodies.length).map(({ body }) => body));
          ended += 1;
        }, (error: { code: string }) => {
          expect(error.code).toBe("timeout");
          ended += 1;
        });
      });
      disturb(run);
      await run.clock.pass(ROUGH + CALM);
      expect(ended, `seed ${seed}`).toBe(asked);
    }
  }, 120_000);
});
