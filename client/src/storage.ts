// What the browser remembers for the page, or the page for itself where the browser refuses (private mode, blocked
// cookies, no browser). Never throws. Knows nothing of what is stored.

import { attempt } from "./attempt.js";

export interface Store {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}

/** `area` is asked on each use, since browsers throw at the mere mention of a forbidden `localStorage`. */
export function createStore(area: () => Pick<Storage, "getItem" | "setItem">): Store {
  const memory = new Map<string, string>();
  return {
    get: (key) => memory.get(key) ?? attempt(() => area().getItem(key)) ?? undefined,
    set(key, value) {
      if (attempt(() => (area().setItem(key, value), true))) memory.delete(key);
      else memory.set(key, value);
    },
  };
}
