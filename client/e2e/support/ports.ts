// Free ports for what a test starts. They are below the range the system takes for outgoing connections: while a server
// is down, a page that tries to reach it must not be given the server's own port and connect to itself.

import { createServer } from "node:net";

const FIRST = 12_000;
const COUNT = 18_000;

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/** A port nobody listens on now. Several processes ask at once, so each begins somewhere else. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port");
}
