// Which property names of our own the build may shorten: those nobody outside the bundle ever sees.
//
// Promises that names of the platform, of what pages call and read, and of what servers say stay as they are; a name
// that is used for both stays, too. What tabs tell each other has shortened names: tabs whose builds shortened them
// differently never meet (tabs/message.ts).

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What the client touches of the browser and of the language. Whoever touches more adds it here. */
const PLATFORM = new Set(`
  AbortController AbortSignal AddEventListenerOptions Array ArrayConstructor BroadcastChannel CallableFunction Console
  Crypto Date DateConstructor Document Error Event EventListenerOptions EventTarget Function
  HTMLScriptElement Iterator IteratorObject JSON Location Lock LockManager LockOptions Map MapConstructor MapIterator
  Math MessageChannel MessageEvent MessageEventTarget MessagePort Navigator NavigatorLocks NavigatorOnLine Number
  NumberConstructor Object ObjectConstructor PageTransitionEvent Performance Promise PromiseConstructor PromiseLike
  ReadonlyArray ReadonlyMap ReadonlySet RegExp Set Storage StorageEvent String StringConstructor Symbol TextEncoder
  TextEncoderCommon Uint8Array Uint8ArrayConstructor WebSocket
`.trim().split(/\s+/));

/** Sources whose names pages see, and what those look like. */
const PUBLIC = [
  ["legacy.ts", /^ {2,4}(?:readonly )?(\w+)\??[:(]|\b(?=\w*_)(\w+)/gm],
  ["legacy.ts", /\b(code|error|message|plugin|version)\b/g],
  ["classic.ts", /^ +(\w+)[:,]/gm],
  // Fields of the server's data.
  ["types.ts", /\breadonly (\w+_\w+|data|uuid|repeated)\??:/g],
];

const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
const read = (path) => withoutComments(readFileSync(path, "utf8"));

/** Members of the platform's interfaces, from TypeScript's own declarations. */
function platformNames(here) {
  const scope = join(here, "node_modules", "@typescript");
  const folder = join(scope, readdirSync(scope).find((name) => name.startsWith("typescript-")), "lib");
  const names = new Set();
  for (const file of readdirSync(folder).filter((name) => /^lib\.(dom|es5|es20\d\d(\..+)?)\.d\.ts$/.test(name))) {
    let inside = false;
    for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
      if (line.startsWith("}")) inside = false;
      inside ||= PLATFORM.has(/^(?:declare )?interface (\w+)/.exec(line)?.[1]);
      const member = inside && /^ {4}(?:readonly )?(?:get |set )?(\w+)\??\s*[(:<]/.exec(line);
      if (member) names.add(member[1]);
    }
  }
  return names;
}

/** Matches the names that may be shortened in a bundle of these sources. */
export function privateNames(here, sources) {
  const kept = platformNames(here);
  for (const [file, pattern] of PUBLIC) {
    for (const [, ...found] of read(join(here, "src", file)).matchAll(pattern)) found.forEach((name) => kept.add(name));
  }
  const names = new Set();
  for (const source of sources) {
    const text = read(join(here, source));
    for (const [, name] of text.matchAll(/"(\w+)" in /g)) kept.add(name);
    for (const [, name] of text.matchAll(/\[?"(\w+)"\]/g)) kept.add(name);
    for (const match of text.matchAll(/\.([A-Za-z]\w*)|\b(?:private|readonly|get|async) (\w+)|^ +(\w+)\??[:(]/gm)) {
      names.add(match[1] ?? match[2] ?? match[3]);
    }
  }
  return new RegExp(`^(?:${[...names].filter((name) => !kept.has(name)).sort().join("|")})$`);
}
