// Everything a link needs from its surroundings: time, chance, sockets, and the news that the browser has.
//
// Promises that nothing else in the session and link layer touches a global, so that all of it runs in virtual time.
// Must never know what is said over a socket.

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
    listen,
    report(error) {
      if (typeof reportError === "function") return reportError(error);
      setTimeout(() => {
        throw error;
      });
    },
  };
}

function soon(run: () => void): void {
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

function connect(url: string, listener: SocketListener): Socket | SocketRefusal {
  if (typeof WebSocket !== "function") return "no_websocket";
  let socket: WebSocket;
  try {
    socket = new WebSocket(url);
  } catch {
    return "unreachable";
  }
  const silence = () => {
    socket.onmessage = socket.onclose = socket.onerror = null;
  };
  socket.onmessage = (event) => listener.frame(event.data);
  // An error ends a socket, and not everything that is no browser says `close` after it.
  socket.onclose = socket.onerror = () => {
    silence();
    listener.closed();
  };
  return {
    send(text) {
      try {
        socket.send(text);
        return true;
      } catch {
        return false;
      }
    },
    close() {
      silence();
      socket.close();
    },
  };
}

function listen(heard: (event: BrowserEvent) => void): () => void {
  if (typeof addEventListener !== "function") return () => undefined;
  const online = () => heard("online");
  const offline = () => heard("offline");
  const visible = () => {
    if (document.visibilityState === "visible") heard("visible");
  };
  addEventListener("online", online);
  addEventListener("offline", offline);
  const page = typeof document === "object" ? document : undefined;
  page?.addEventListener("visibilitychange", visible);
  // A page that comes back from the back-forward cache was frozen with a dead socket.
  addEventListener("pageshow", visible);
  return () => {
    removeEventListener("online", online);
    removeEventListener("offline", offline);
    removeEventListener("pageshow", visible);
    page?.removeEventListener("visibilitychange", visible);
  };
}
