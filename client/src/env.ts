// What the faces ask of the page around them: storage, chance, time, cookies, where the script came from. Tests replace
// it. Works in any JavaScript environment; whatever is missing there is answered with a harmless default.

import type { LinkHandler, Link } from "./types.js";
import { browserEdges, randomName, type Edges } from "./edges.js";
import { createStore, type Store } from "./storage.js";
import { nodeOfScript } from "./options.js";

/** The clock, timers and reporting are those of the connection. */
export interface Env extends Pick<Edges, "now" | "timer" | "report"> {
  createLink(handler: LinkHandler): Link;
  readonly storage: Store;
  /** Name characters nobody can guess. */
  random(length: number): string;
  /** `level` 1: an error. */
  log(level: number, ...what: unknown[]): void;
  /** The page itself came over TLS. */
  readonly secure: boolean;
  /** Address of the server when the page names none. */
  readonly node: string;
  /** All cookies, as `document.cookie`; throws where that does. */
  cookies(): string;
}

/** `script`: address this code was loaded from, if known. */
export function browserEnv(script: string | undefined, createLink: Env["createLink"]): Env {
  const page = typeof location === "undefined" ? "" : location.href;
  return {
    ...browserEdges(),
    createLink,
    storage: createStore(() => localStorage),
    random: randomName,
    log: (level, ...what) => console[level > 1 ? "log" : "error"](...what),
    secure: page.startsWith("https:"),
    node: nodeOfScript(script ?? "") || nodeOfScript(page),
    cookies: () => document.cookie,
  };
}
