// What the browser remembers for the page, or the page for itself where the browser refuses (private mode, blocked
// cookies, no browser). Never throws. Knows nothing of what is stored.

export interface Store {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}

/** `area` is asked on each use, since browsers throw at the mere mention of a forbidden `localStorage`. */
export function createStore(area: () => Pick<Storage, "getItem" | "setItem">): Store {
  const memory = new Map<string, string>();
  return {
    get(key) {
      if (memory.has(key)) return memory.get(key);
      try {
        return area().getItem(key) ?? undefined;
      } catch {
        return undefined;
      }
    },
    set(key, value) {
      try {
        area().setItem(key, value);
        memory.delete(key);
      } catch {
        memory.set(key, value);
      }
    },
  };
}
