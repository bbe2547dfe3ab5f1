// How the tests in a real browser run: Chromium of the distribution, headless, against the real server program.
//
//   COMET_CHROMIUM     the browser's program; default: the one Debian installs
//   COMET_SERVER_BIN   the server's program; default: what cargo built last
//   COMET_SCREENSHOTS  `docs`: copies the screenshots of the documentation to docs/images

import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/google-chrome", "/usr/bin/chromium-browser"];

/** The browser's program. */
export const PROGRAM = process.env["COMET_CHROMIUM"] ?? PROGRAMS.find((path) => existsSync(path)) ?? "chromium";

export const ARGUMENTS: readonly string[] = [
  "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run",
  // A name without TLS that leads here: pages there have no Web Locks, as on a site in plain http.
  "--host-resolver-rules=MAP plain.test 127.0.0.1",
];

export default defineConfig({
  testDir: "e2e",
  testMatch: "*.spec.ts",
  outputDir: "e2e/output/failures",
  // Pages wait for conditions, so this is reached only by what hangs.
  timeout: 60_000,
  expect: { timeout: 20_000 },
  fullyParallel: true,
  workers: 2,
  retries: 0,
  forbidOnly: true,
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    headless: true,
    launchOptions: { executablePath: PROGRAM, args: [...ARGUMENTS] },
  },
});
