// Keeps small values in the browser. Promises never to fail: where storage is disabled (private mode), full or damaged, values live
// as long as the page. Everything read may be of any shape, whoever reads it checks it.

/** `kind` is "localStorage" (all tabs, for good) or "sessionStorage" (this tab, over reloads). */
export function box(kind) {
  const memory = new Map();
  return {
    read(key) {
      try {
        const text = globalThis[kind].getItem(key) ?? memory.get(key);
        return text === undefined ? undefined : JSON.parse(text);
      } catch {
        return memory.has(key) ? JSON.parse(memory.get(key)) : undefined;
      }
    },
    write(key, value) {
      const text = JSON.stringify(value);
      memory.set(key, text);
      try {
        globalThis[kind].setItem(key, text);
      } catch {
        // Disabled or full: the value lives in memory.
      }
    },
    remove(key) {
      memory.delete(key);
      try {
        globalThis[kind].removeItem(key);
      } catch {
        // It was never there.
      }
    },
  };
}
