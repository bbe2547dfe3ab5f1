// Which tabs share a connection: those that would open the same one.
//
// Promises that tabs with different addresses, tenant, user, key or chosen browser id are in different groups (S60), and
// that the name of a group, which other scripts of the site and the browser's disk may see, does not contain the key.

import type { LinkOptions } from "../types.js";
import { BUS_VERSION } from "./message.js";

/**
 * Tabs that speak another version of the bus would not understand each other: they are a group of their own. An id that
 * the browser remembers says nothing: tabs opened at the same moment of a first visit, or where storage is switched
 * off, each make one.
 */
export function groupName(options: LinkOptions): string {
  const { nodes, devId, userId, userKey, uuid, chosen } = options;
  return `comet${BUS_VERSION}.${digest(JSON.stringify([nodes, devId, userId, userKey, chosen && uuid]))}`;
}

/**
 * Two times 32 bits of a text, for telling texts apart. A key of more bits cannot be computed from it; a guessed key can
 * be checked with it, but only by somebody who runs scripts on the same site and could read the key itself there.
 */
export function digest(text: string): string {
  return [0x811c9dc5, 0x9e3779b9].map((seed) => {
    const bits = text.split("").reduce((bits, letter) => {
      const mixed = Math.imul(bits ^ letter.charCodeAt(0), 0x2c1b3c6d);
      return mixed ^ (mixed >>> 15);
    }, seed);
    return (bits >>> 0).toString(36);
  }).join("");
}
