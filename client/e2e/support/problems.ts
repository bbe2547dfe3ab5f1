// What went wrong in pages without anybody looking: exceptions, errors in the console. A test fails on each that it did
// not announce.

import type { BrowserContext } from "@playwright/test";

export class Problems {
  private readonly seen: string[] = [];
  private readonly announced: RegExp[] = [];

  watch(context: BrowserContext): void {
    context.on("weberror", (error) => this.seen.push(`exception: ${error.error().stack ?? error.error().message}`));
    context.on("console", (message) => {
      if (message.type() === "error") this.seen.push(`console: ${message.text()} (${message.location().url})`);
    });
  }

  /** What matches is part of the test. */
  announce(...expected: readonly RegExp[]): void {
    this.announced.push(...expected);
  }

  get unexpected(): readonly string[] {
    return this.seen.filter((text) => !this.announced.some((pattern) => pattern.test(text)));
  }
}

/** The browser's own words for a connection that cannot be opened; no page can silence them. */
export const CONNECTION_FAILED = /WebSocket connection to '[^']*' failed|ERR_CONNECTION_REFUSED|ERR_INTERNET_DISCONNECTED/;
