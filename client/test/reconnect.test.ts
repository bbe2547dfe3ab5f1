// The waits between attempts: exponential, full jitter, bounded on both sides.

import { describe, expect, test } from "vitest";
import { BASE, Backoff, CAP, FLOOR, SOON, SPREAD } from "../src/reconnect.js";
import { seeded } from "./session_support.js";

describe("back-off", () => {
  test("the ceiling doubles up to the cap and stays there", () => {
    const backoff = new Backoff(() => 0.999_999);
    const waits = Array.from({ length: 10 }, () => Math.ceil(backoff.next()));
    expect(waits).toEqual([300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, CAP, CAP, CAP]);
  });

  test("jitter is full: every wait from the floor to the ceiling happens", () => {
    const random = seeded(1);
    const waits = Array.from({ length: 10_000 }, () => new Backoff(random).next());
    expect(Math.min(...waits)).toBe(FLOOR);
    expect(Math.max(...waits)).toBeLessThan(BASE);
    const above = waits.filter((wait) => wait > BASE / 2).length;
    expect(above).toBeGreaterThan(4_700);
    expect(above).toBeLessThan(5_300);
  });

  test("no wait is under the floor, whatever chance says", () => {
    const backoff = new Backoff(() => 0);
    expect([backoff.next(), backoff.next(), backoff.soon()]).toEqual([FLOOR, FLOOR, FLOOR]);
    expect(backoff.seldom()).toBeGreaterThanOrEqual(CAP);
  });

  test("after a lasting connection the crowd is spread over the wider ceiling, which then doubles", () => {
    const backoff = new Backoff(() => 0.5);
    for (let failure = 0; failure < 9; failure += 1) backoff.next();
    backoff.lasted();
    expect([backoff.next(), backoff.next()]).toEqual([SPREAD / 2, SPREAD]);
  });

  test("good news makes old failures meaningless", () => {
    const backoff = new Backoff(() => 0.5);
    for (let failure = 0; failure < 9; failure += 1) backoff.next();
    backoff.reset();
    expect(backoff.next()).toBe(BASE / 2);
    expect(backoff.soon()).toBe(SOON / 2);
  });
});
