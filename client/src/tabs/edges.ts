// What the tabs of a browser need from it: time, a way to talk, a lock or a common store, and the news that a page
// sleeps. The real ones are in browser.ts; tests put a simulated browser behind the same names.
//
// Promises nothing itself; says what whoever implements it must promise. Must never know what tabs say to each other.

/** What becomes of a page. `freeze` and `pagehide` are the last thing it hears until `resume` or `pageshow`, if ever. */
export type PageEvent =
  /** It stays in memory, but nothing of it runs. */
  | "freeze" | "resume"
  /** It is left: closed, or put into the back-forward cache. */
  | "pagehide" | "pageshow";

/** A common line of all tabs that opened it under the same name. */
export interface Bus {
  /** Does not throw. What is posted before `close` still arrives. */
  post(message: readonly unknown[]): void;
  close(): void;
}

/** `navigator.locks`, with its rules: the browser frees a lock when its page ends. */
export interface Locks {
  /**
   * Waits for the lock, or takes it from whoever holds it. `granted` comes at most once, `lost` at most once: the lock
   * was stolen, or cannot be had at all. Neither comes after the result was called, which frees the lock or stops waiting.
   */
  hold(name: string, steal: boolean, granted: () => void, lost: () => void): () => void;
}

/** `localStorage`. A value set by one tab is seen by the others some milliseconds later. */
export interface CommonStore {
  get(key: string): string | undefined;
  /** Does not throw. */
  set(key: string, value: string): void;
  remove(key: string): void;
}

export interface TabEdges {
  /** Milliseconds, never going back. */
  now(): number;
  /** Milliseconds since 1970, about the same in all tabs. */
  wallClock(): number;
  /** Runs once after `ms` or, in a hidden tab, later; the result cancels it. */
  timer(run: () => void, ms: number): () => void;
  /** An id no other tab has: at most 64 characters. */
  newId(): string;
  listen(heard: (event: PageEvent) => void): () => void;
  /**
   * Everybody hears everybody, himself too, and all of them in the same order: who hears himself has heard what others
   * said before. undefined: tabs cannot talk to each other here.
   */
  openBus(name: string, heard: (message: unknown) => void): Bus | undefined;
  /** undefined: the browser has none, or not on a page without TLS. */
  readonly locks: Locks | undefined;
  /** undefined: switched off. */
  readonly store: CommonStore | undefined;
  /** `sessionStorage`: this tab's own, kept over a reload. undefined: switched off. */
  readonly tabStore: CommonStore | undefined;
}
