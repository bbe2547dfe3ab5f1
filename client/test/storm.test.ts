// A crowd that loses its server at one instant: 5,000 links in virtual time, and how many attempts a second it gets.

import { expect, test } from "vitest";
import { DirectLink } from "../src/direct_link.js";
import type { Edges, SocketListener } from "../src/edges.js";
import { CAP } from "../src/reconnect.js";
import type { LinkHandler } from "../src/types.js";
import { Clock, OPTIONS, World } from "./link_support.js";
import { frames, seeded } from "./session_support.js";

const CLIENTS = 5_000;
/** Nobody looks. */
const PAGE: LinkHandler = { receive: () => undefined, status: () => undefined, error: () => undefined };
const SERVER_INFO = JSON.stringify(frames.serverInfo());

/** The server all of them talk to. */
class Server {
  up = true;
  /** When somebody tried to connect, by second. */
  readonly attempts: number[] = [];
  readonly open = new Set<SocketListener>();

  constructor(private readonly clock: Clock, private readonly random: () => number) {}

  readonly connect: Edges["connect"] = (_, listener) => {
    const second = Math.floor(this.clock.now / 1_000);
    this.attempts[second] = (this.attempts[second] ?? 0) + 1;
    this.clock.timer(() => {
      if (!this.up) return listener.closed();
      this.open.add(listener);
      listener.frame(SERVER_INFO);
    }, 1 + this.random() * 50);
    return { send: () => true, close: () => void this.open.delete(listener) };
  };

  /** Everybody's connection ends at the same instant. */
  die(): void {
    this.up = false;
    const all = [...this.open];
    this.open.clear();
    for (const listener of all) listener.closed();
  }

  /** Attempts in the seconds from `from` on. */
  histogram(from: number, seconds: number): number[] {
    return Array.from({ length: seconds }, (_, at) => this.attempts[from + at] ?? 0);
  }
}

function crowd(seed: number) {
  const clock = new Clock();
  const random = seeded(seed);
  const server = new Server(clock, random);
  const { edges } = new World(random);
  const own: Edges = { ...edges, now: () => clock.now, timer: (run, ms) => clock.timer(run, ms), soon: (run) => void clock.timer(run, 0), connect: server.connect };
  const links = Array.from({ length: CLIENTS }, () => new DirectLink(PAGE, own));
  // People do not come all at once.
  for (const link of links) clock.timer(() => link.start(OPTIONS), random() * 30_000);
  clock.rush(50_000);
  expect(server.open.size).toBe(CLIENTS);
  return { clock, server, links };
}

function sum(list: readonly number[]): number {
  return list.reduce((all, one) => all + one, 0);
}

test(`${CLIENTS} clients whose server restarts come back spread out: at most 0.75 attempts per client in any second`, () => {
  const { clock, server, links } = crowd(1);
  const from = clock.now / 1_000;
  server.die();
  clock.rush(1_000);
  server.up = true;
  clock.rush(19_000);
  const histogram = server.histogram(from, 20);
  console.log(`restart of 1 s, attempts in each second: ${histogram.join(" ")}; peak ${Math.max(...histogram)}`);
  expect(Math.max(...histogram)).toBeLessThanOrEqual(0.75 * CLIENTS);
  expect(sum(histogram)).toBeLessThanOrEqual(2 * CLIENTS);
  // Who fails twice has waited up to 2 + 4 s and waits up to 8 s more.
  expect(sum(histogram.slice(6))).toBeLessThan(0.03 * CLIENTS);
  expect(sum(histogram.slice(15))).toBe(0);
  expect(links.every(({ status }) => status.state === "open")).toBe(true);
}, 120_000);

test(`while the server stays away for ten minutes, ${CLIENTS} clients ask ever more seldom`, () => {
  const { clock, server, links } = crowd(2);
  const from = clock.now / 1_000;
  server.die();
  clock.rush(600_000);
  const minutes = Array.from({ length: 10 }, (_, minute) => sum(server.histogram(from + minute * 60, 60)));
  const histogram = server.histogram(from, 600);
  console.log(`away for 10 min, attempts in each minute: ${minutes.join(" ")}; peak second ${Math.max(...histogram)}`);
  expect(Math.max(...histogram)).toBeLessThanOrEqual(0.75 * CLIENTS);
  // Waits are uniform up to CAP, so half of it on average; a tenth more for chance.
  const steady = (CLIENTS / (CAP / 2)) * 60_000 * 1.1;
  for (const minute of minutes.slice(2)) expect(minute).toBeLessThan(steady);
  for (const second of histogram.slice(120)) expect(second).toBeLessThan((CLIENTS / (CAP / 2)) * 1_000 * 1.35);
  server.up = true;
  clock.rush(CAP + 1_000);
  expect(links.every(({ status }) => status.state === "open")).toBe(true);
}, 120_000);

test("a server that ends every connection after its serverInfo is not asked hotly", () => {
  const { clock, server } = crowd(3);
  const from = clock.now / 1_000;
  for (let at = 0; at < 180; at += 1) {
    server.die();
    server.up = true;
    clock.rush(1_000);
  }
  const histogram = server.histogram(from, 180);
  console.log(`ends every second, attempts in each minute: ${[0, 1, 2].map((minute) => sum(histogram.slice(minute * 60, minute * 60 + 60))).join(" ")}`);
  expect(Math.max(...histogram)).toBeLessThanOrEqual(CLIENTS);
  expect(sum(histogram.slice(120)) / 60).toBeLessThan((CLIENTS / (CAP / 2)) * 1_000 * 1.35);
}, 120_000);
