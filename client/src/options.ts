// From what pages write to what a link needs: addresses (protocol.md 9.2), the node of a round robin, the browser's id.
// Accepts anything and never throws: an address that is none becomes one that cannot be reached, which the page is told.

import type { Store } from "./storage.js";
import type { LinkOptions } from "./types.js";

/** Where the old client kept its id; the same, so that browsers stay who they are (protocol.md 9.1). */
const UUID_KEY = "comet_server_uuid";
/** An address without a host: what a server without a configuration listens on. */
const DEFAULT_HOST = "localhost:8087";

/**
 * Base address of a node: `host`, `host:port`, `//host`, `http(s)://host`, `ws(s)://host`, each with or without a path
 * such as `/comet-server`. Without a port the scheme's default holds (S22).
 *
 * `secure`: if the address names no scheme. `forced`: in any case, if not undefined.
 */
export function baseAddress(node: string, secure: boolean, forced?: boolean): string {
  const [, , s, host, path] = /^(?:((?:http|ws)(s?):)?\/\/)?([^/?#\s]*)([^?#\s]*)/i.exec(node.trim()) ?? [];
  const tls = forced ?? (s === undefined ? secure : s !== "");
  return (tls ? "wss://" : "ws://") + (host || DEFAULT_HOST) + (path ?? "").replace(/\/+$/, "");
}

/** What the page gave (S21), a text or several, as base addresses; if that is nothing, the default node. */
export function nodeAddresses(given: unknown, env: { node: string; secure: boolean }, forced?: boolean): string[] {
  const nodes = [given].flat().map(toText).filter((text) => text !== "");
  return (nodes.length > 0 ? nodes : [env.node]).map((node) => baseAddress(node, env.secure, forced));
}

/** Node of the script's or page's address (S62): its host, and the mount point of a reverse proxy if it is under one. */
export function nodeOfScript(address: string): string {
  const [, origin = "", mount = ""] = /^(https?:\/\/[^/?#]+)(\/+comet-server(?=\/))?/i.exec(address) ?? [];
  return origin + mount;
}

/** The nodes to connect to: all, or of a round robin one (protocol.md 9.2). Anonymous browsers spread by their id. */
export function chooseNodes(nodes: readonly string[], roundrobin: boolean, userId: string, uuid: string): string[] {
  if (!roundrobin || nodes.length < 2) return [...nodes];
  const user = /^\d{1,10}$/.test(userId) ? Number(userId) : 0;
  const number = user || [...uuid].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 1_000_003, 7);
  return nodes.filter((_, index) => index === number % nodes.length);
}

/** The browser's id: the page's, else the remembered one, else a new one that is remembered. 1 to 32 name characters. */
export function browserUuid(given: string, storage: Store, random: (length: number) => string): string {
  const known = [given, storage.get(UUID_KEY) ?? ""].find((uuid) => /^[\w-]{1,32}$/.test(uuid));
  if (known !== undefined) return known;
  const uuid = random(32);
  storage.set(UUID_KEY, uuid);
  return uuid;
}

/** Numbers and texts as text; anything else, and the words old pages end up with for nothing, as "". */
export function toText(value: unknown): string {
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  return text === "undefined" || text === "null" ? "" : text;
}

/** True if somebody else follows: what the first one wrote is not to be sent in his name. Logging in is no change. */
export function isAnotherUser(before: LinkOptions | undefined, { userId, devId }: LinkOptions): boolean {
  return !!before?.userId && (before.userId !== userId || before.devId !== devId);
}
