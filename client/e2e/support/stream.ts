// A back end that writes private messages without pause while something happens to the pages, and says how many.

import type { Tenant } from "./tenant.js";

/** Sends 0, 1, 2 … to a user every `interval` milliseconds until stopped, which tells how many it sent. */
export function streamTo(tenant: Tenant, user: number, interval: number): () => Promise<number> {
  let [running, sent] = [true, 0];
  const work = (async () => {
    while (running) {
      await tenant.tell(user, "n", String(sent));
      sent += 1;
      await pause(interval);
    }
  })();
  return async () => {
    running = false;
    await work;
    return sent;
  };
}

/** For what is about time; everything else waits for its condition. */
export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}
