// What the faces ask of the page around them: storage, chance, time, cookies, where the script came from. Tests replace
// it. Works in any JavaScript environment; whatever is missing there is answered with a harmless default.

import type { LinkHandler, Link } from "./types.js";
import { createStore, type Store } from "./storage.js";
import { nodeOfScript } from "./options.js";

export interface Env {
  createLink(handler: LinkHandler): Link;
  readonly storage: Store;
  /** Name characters nobody can guess. */
  random(length: number): string;
  /** Milliseconds. */
  now(): number;
  later(milliseconds: number, run: () => void): void;
  /** What a page's handler threw, to where the browser reports uncaught errors. Does not throw. */
  report(error: unknown): void;
  /** `level` 1: an error. */
  log(level: number, ...what: unknown[]): void;
  /** The page itself came over TLS. */
  readonly secure: boolean;
  /** Address of the server when the page names none. */
  readonly node: string;
  /** All cookies, as `document.cookie`; throws where that does. */
  cookies(): string;
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

function random(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => LETTERS.charAt(byte & 63)).join("");
}

function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else setTimeout(() => { throw error; });
}

/** `script`: address this code was loaded from, if known. */
export function browserEnv(script: string | undefined, createLink: Env["createLink"]): Env {
  const page = typeof location === "undefined" ? "" : location.href;
  return {
    createLink,
    storage: createStore(() => localStorage),
    random,
    now: Date.now,
    later: (milliseconds, run) => void setTimeout(run, milliseconds),
    report,
    log: (level, ...what) => console[level > 1 ? "log" : "error"](...what),
    secure: page.startsWith("https:"),
    node: nodeOfScript(script ?? "") || nodeOfScript(page),
    cookies: () => (typeof document === "undefined" ? "" : document.cookie),
  };
}
