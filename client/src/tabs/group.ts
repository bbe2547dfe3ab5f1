// Which tabs share a connection: those that would open the same one.
//
// Promises that tabs with different addresses, tenant, user, key or browser id are in different groups (S60), and that
// the name of a group, which other scripts of the site and the browser's disk may see, does not contain the key.

import type { LinkOptions } from "../types.js";
import { BUS_VERSION } from "./message.js";

/** Tabs that speak another version of the bus would not understand each other: they are a group of their own. */
export function groupName(options: LinkOptions): string {
  const { nodes, devId, userId, userKey, uuid } = options;
  return `comet${BUS_VERSION}.${digest(JSON.stringify([nodes, devId, userId, userKey, uuid]))}`;
}

/**
 * 53 bits of a text, for telling texts apart. A key of more than 53 bits cannot be computed from it; a guessed key can
 * be checked with it, but only by somebody who runs scripts on the same site and could read the key itself there.
 */
export function digest(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    low = mix(low ^ unit);
    high = mix(high + Math.imul(unit + 1, 0x01000193)) ^ low;
  }
  const bits = (mix(high) & 0x1fffff) * 0x1_0000_0000 + (mix(low ^ high) >>> 0);
  return bits.toString(36);
}

/** A bijection of 32-bit numbers in which every bit depends on all others. */
function mix(value: number): number {
  let bits = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  bits = Math.imul(bits ^ (bits >>> 12), 0x297a2d39);
  return bits ^ (bits >>> 15);
}
