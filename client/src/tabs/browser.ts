// The tabs' surroundings in a real browser.
//
// Promises that nothing here throws, whatever the browser has switched off. Must never know what tabs say to each other.

import { attempt } from "../attempt.js";
import { browserEdges, listenTo, randomName, soon } from "../edges.js";
import type { Bus, CommonStore, Locks, PageEvent, TabEdges } from "./edges.js";

/** Asks what the browser has; touches nothing but a probe in the store. */
export function browserTabEdges(): TabEdges {
  const store = openStore(() => localStorage);
  return {
    ...browserEdges(),
    wallClock: () => Date.now(),
    newId: () => randomName(16),
    listen: (heard) => listenTo(["freeze", "resume", "pagehide", "pageshow"], (type) => heard(type as PageEvent)),
    openBus: (name, heard) => openChannel(name, heard) ?? (store && openStoreBus(store, name, heard)),
    locks: openLocks(),
    store,
    tabStore: openStore(() => sessionStorage),
  };
}

function openLocks(): Locks | undefined {
  // In a page without an origin every request would be refused. Locks are of use only among tabs that hear themselves
  // behind others (edges.ts), so not over storage events; all browsers with locks have channels.
  if (typeof navigator !== "object" || !navigator.locks || self.origin === "null") return undefined;
  if (typeof BroadcastChannel !== "function") return undefined;
  const { locks } = navigator;
  return {
    hold(name, steal, granted, lost) {
      let over = false;
      let free: () => void = () => undefined;
      const held = new Promise<void>((resolve) => { free = resolve; });
      const abort = new AbortController();
      const use = () => {
        if (over) return undefined;
        granted();
        return held;
      };
      // The browser takes no signal together with `steal`, which is granted at once anyway.
      locks.request(name, steal ? { steal } : { signal: abort.signal }, use).catch(() => {
        if (!over) lost();
      });
      return () => {
        over = true;
        abort.abort();
        free();
      };
    },
  };
}

function openStore(open: () => Storage): CommonStore | undefined {
  return attempt(() => {
    const area = open();
    const probe = "comet.probe";
    area.setItem(probe, probe);
    area.removeItem(probe);
    return {
      get: (key) => attempt(() => area.getItem(key)) ?? undefined,
      set: (key, value) => void attempt(() => area.setItem(key, value)),
      remove: (key) => void attempt(() => area.removeItem(key)),
    };
  });
}

/** A channel does not hear itself, so one speaks and another one listens. */
function openChannel(name: string, heard: (message: unknown) => void): Bus | undefined {
  if (typeof BroadcastChannel !== "function") return undefined;
  return attempt(() => {
    const mouth = new BroadcastChannel(name);
    const ear = new BroadcastChannel(name);
    ear.onmessage = (event) => heard(event.data);
    return {
      post: (message) => void attempt(() => mouth.postMessage(message)),
      close() {
        ear.onmessage = null;
        mouth.close();
        ear.close();
      },
    };
  });
}

/**
 * The storage events of protocol.md 9.5, for browsers without BroadcastChannel. A message stays in the store no longer
 * than it takes to write it.
 */
function openStoreBus(store: CommonStore, name: string, heard: (message: unknown) => void): Bus {
  const key = `${name}.bus`;
  let open = true;
  const hear = (event: StorageEvent) => {
    if (event.key !== key || event.newValue === null) return;
    const { newValue } = event;
    heard(attempt(() => JSON.parse(newValue) as unknown));
  };
  addEventListener("storage", hear);
  return {
    post(message) {
      const text = JSON.stringify(message);
      store.set(key, text);
      store.remove(key);
      // Tabs hear only others here; what they said before waits in the same queue of events.
      soon(() => {
        if (open) heard(JSON.parse(text));
      });
    },
    close() {
      open = false;
      removeEventListener("storage", hear);
    },
  };
}
