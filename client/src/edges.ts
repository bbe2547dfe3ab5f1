// Everything a link needs from its surroundings: time, chance, sockets, and the news that the browser has.
//
// Promises that nothing else in the session and link layer touches a global, so that all of it runs in virtual time.
// Must never know what is said over a socket.

import { attempt } from "./attempt.js";

/** One opened WebSocket. */
export interface Socket {
  /** Hands a text to the browser; false if the socket does not take it. */
  send(text: string): boolean;
  /** Ends it. Its listener hears nothing afterwards. */
  close(): void;
}

/** What a socket tells. `closed` comes at most once and last. */
export interface SocketListener {
  frame(data: unknown): void;
  closed(): void;
}

/** Why there is no socket: the environment has none, or did not allow this one. */
export type SocketRefusal = "no_websocket" | "unreachable";

/** What happens to the browser as a whole. */
export type BrowserEvent = "online" | "offline" | "visible";

export interface Edges {
  /** Milliseconds, never going back. */
  now(): number;
  /** Uniform over [0, 1). */
  random(): number;
  /** Runs once after `ms`; the result cancels it. */
  timer(run: () => void, ms: number): () => void;
  /** Runs after what the browser has already got for us. Not a timer: those wait up to a minute in a hidden tab. */
  soon(run: () => void): void;
  /** Begins to connect. */
  connect(url: string, listener: SocketListener): Socket | SocketRefusal;
  /** False only if the browser is sure that there is no network. */
  online(): boolean;
  /** Runs at every event; the result ends it. */
  listen(heard: (event: BrowserEvent) => void): () => void;
  /** Tells the page's developer about an exception of a handler. */
  report(error: unknown): void;
}

/** The real surroundings of a page or worker. Nothing is touched before it is used. */
export function browserEdges(): Edges {
  return {
    now: () => performance.now(),
    random: () => Math.random(),
    timer(run, ms) {
      const id = setTimeout(run, ms);
      return () => clearTimeout(id);
    },
    soon,
    connect,
    online: () => typeof navigator !== "object" || navigator.onLine !== false,
    // A page that comes back from the back-forward cache (`pageshow`) was frozen with a dead socket.
    listen: (heard) => listenTo(["online", "offline", "visibilitychange", "pageshow"], (type) => {
      const news = type.endsWith("line") ? type : document.visibilityState;
      if (news !== "hidden") heard(news as BrowserEvent);
    }),
    report: (error) => void setTimeout(() => {
      throw error;
    }),
  };
}

/** Hears events of the page and of its document, which all pass the window on their way. The result ends it. */
export function listenTo(types: readonly string[], heard: (type: string) => void): () => void {
  if (typeof addEventListener !== "function") return () => undefined;
  const hear = ({ type }: Event) => heard(type);
  const options = { capture: true };
  for (const type of types) addEventListener(type, hear, options);
  return () => types.forEach((type) => removeEventListener(type, hear, options));
}

export function soon(run: () => void): void {
  if (typeof MessageChannel !== "function") {
    setTimeout(run);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    run();
  };
  port2.postMessage(0);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/** Name characters nobody can guess. */
export function randomName(length: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => LETTERS[byte & 63]).join("");
}

function connect(url: string, listener: SocketListener): Socket | SocketRefusal {
  if (typeof WebSocket !== "function") return "no_websocket";
  const socket = attempt(() => new WebSocket(url));
  if (!socket) return "unreachable";
  const silence = () => {
    socket.onmessage = socket.onclose = socket.onerror = null;
  };
  socket.onmessage = ({ data }) => listener.frame(data);
  // An error ends a socket, and not everything that is no browser says `close` after it.
  socket.onclose = socket.onerror = () => {
    silence();
    listener.closed();
  };
  return {
    send: (text) => attempt(() => (socket.send(text), true)) === true,
    close() {
      silence();
      socket.close();
    },
  };
}
