// The real server program, on ports and a data directory of its own, for as long as a worker lives. It can be stopped,
// killed and started again on the same data, as an operator or a loss of power would.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "./ports.js";

export const PASSWORD = "CometQLPassword";
const DEADLINE_MS = 20_000;

function program(): string {
  const named = process.env["COMET_SERVER_BIN"];
  const target = process.env["CARGO_TARGET_DIR"] ?? fileURLToPath(new URL("../../../target", import.meta.url));
  const path = resolve(named ?? join(target, "debug", "comet-server"));
  if (!existsSync(path)) throw new Error(`${path} does not exist: cargo build -p comet-server, or set COMET_SERVER_BIN`);
  return path;
}

/** Settings by their names in the environment, such as COMET_WS_HOST. */
export type Settings = Readonly<Record<string, string>>;

export class Server {
  private child: ChildProcess | undefined;
  private readonly data = mkdtempSync(join(tmpdir(), "comet-e2e-"));
  /** What it wrote to its log. */
  readonly log: string[] = [];

  private constructor(readonly port: number, readonly sqlPort: number, private readonly settings: Settings) {}

  static async start(settings: Settings = {}): Promise<Server> {
    const server = new Server(await freePort(), await freePort(), settings);
    await server.launch();
    return server;
  }

  /** As pages write it: `host:port`. */
  get node(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.node}`;
  }

  /** Starts it on the same ports and data; returns when it answers. */
  async launch(): Promise<void> {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("COMET_"));
    const child = spawn(program(), [
      "--ws-listen", this.node, "--cometql-listen", `127.0.0.1:${this.sqlPort}`,
      "--password", PASSWORD, "--log-level", "warn", "--data-dir", this.data,
    ], { env: { ...Object.fromEntries(own), ...this.settings }, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    createInterface({ input: child.stderr }).on("line", (line) => this.log.push(line));
    const ready = new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.includes("http://")) resolve();
      });
    });
    const failed = once(child, "exit").then(() => Promise.reject(new Error(`the server ended: ${this.log.join("\n")}`)));
    failed.catch(() => undefined);
    await within(Promise.race([ready, failed]), "the server does not come up");
  }

  /** SIGTERM: an orderly end. */
  async stop(): Promise<void> {
    await this.end("SIGTERM");
  }

  /** SIGKILL: as a loss of power. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.launch();
  }

  /** Ends it for good. */
  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }

  private async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await within(ended, "the server does not end");
  }
}

async function within<T>(work: Promise<T>, complaint: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(complaint)), DEADLINE_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
