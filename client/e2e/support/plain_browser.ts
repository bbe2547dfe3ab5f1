// Chromium as a person starts it. Playwright's own browsers believe that every tab is looked at all the time; here one
// tab is visible, the timers of the others are slowed down, and tabs can be frozen as the browser itself does it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium, type Browser, type BrowserContext } from "@playwright/test";
import { ARGUMENTS, PROGRAM } from "../../playwright.config.js";
import { pause } from "./stream.js";

/** Processes of the browser that end a little later than the first still write for a moment. */
async function removeAll(folder: string): Promise<void> {
  for (let left = 200; left > 0; left -= 1) {
    try {
      await rm(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if (left === 1) throw error;
      await pause(100);
    }
  }
}

export class PlainBrowser {
  private constructor(readonly context: BrowserContext, private readonly browser: Browser, private readonly end: () => Promise<void>) {}

  static async start(): Promise<PlainBrowser> {
    const profile = mkdtempSync(join(tmpdir(), "comet-e2e-profile-"));
    const program = spawn(PROGRAM, [
      ...ARGUMENTS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise<string>((resolve, reject) => {
      createInterface({ input: program.stderr }).on("line", (line) => {
        const [, found] = /DevTools listening on (ws:\S+)/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
      program.once("error", reject);
      program.once("exit", () => reject(new Error("the browser ended")));
    });
    const browser = await chromium.connectOverCDP(address, { noDefaults: true });
    const [context] = browser.contexts();
    if (!context) throw new Error("the browser has no window");
    return new PlainBrowser(context, browser, async () => {
      const ended = once(program, "exit");
      program.kill("SIGTERM");
      await ended;
      await removeAll(profile);
    });
  }

  async dispose(): Promise<void> {
    await this.browser.close().catch(() => undefined);
    await this.end();
  }
}
