// What every test has: a server and a site that its worker keeps running, a tenant of its own, and browsers. A test
// that leaves errors in a page fails although all its assertions hold.

import { expect, test as base, type BrowserContextOptions } from "@playwright/test";
import { PlainBrowser } from "./plain_browser.js";
import { Problems } from "./problems.js";
import { Server } from "./server.js";
import { Site } from "./site.js";
import { Tenant } from "./tenant.js";
import { Visitor } from "./visitor.js";

interface PerWorker {
  readonly server: Server;
  readonly site: Site;
}

interface PerTest {
  readonly tenant: Tenant;
  readonly problems: Problems;
  /** Another browser, with an empty storage. */
  readonly visitor: (options?: BrowserContextOptions) => Promise<Visitor>;
  /** The same in a browser whose tabs can be hidden and frozen. Takes a second to start. */
  readonly sleeper: Visitor;
}

let lastTenant = 0;

export const test = base.extend<PerTest, PerWorker>({
  server: [async ({}, use) => {
    const server = await Server.start();
    await use(server);
    await server.dispose();
  }, { scope: "worker" }],

  site: [async ({}, use) => {
    const site = await Site.start();
    await use(site);
    await site.dispose();
  }, { scope: "worker" }],

  tenant: async ({ server }, use) => {
    lastTenant += 1;
    const tenant = new Tenant(server, lastTenant);
    await use(tenant);
    await tenant.close();
  },

  problems: async ({}, use) => {
    const problems = new Problems();
    await use(problems);
    expect(problems.unexpected, "errors nobody expected in the pages").toEqual([]);
  },

  visitor: async ({ browser, site, tenant, problems }, use) => {
    const visitors: Visitor[] = [];
    await use(async (options = {}) => {
      const context = await browser.newContext(options);
      problems.watch(context);
      const visitor = new Visitor(context, site, tenant);
      visitors.push(visitor);
      return visitor;
    });
    for (const visitor of visitors) await visitor.close();
  },

  sleeper: async ({ site, tenant, problems }, use) => {
    const browser = await PlainBrowser.start();
    problems.watch(browser.context);
    await use(new Visitor(browser.context, site, tenant));
    await browser.dispose();
  },
});

/** Asks again and again until the answer is the expected one. */
export function eventually<T>(ask: () => Promise<T>, what?: string) {
  return expect.poll(ask, { intervals: [10, 20, 40, 80, 160], timeout: 20_000, ...(what !== undefined && { message: what }) });
}

/** Waits until so many connections are subscribed to a channel. */
export async function subscribed(tenant: Tenant, channel: string, connections: number): Promise<void> {
  await eventually(async () => (await tenant.subscribers(channel)).length, `subscribers of ${channel}`).toBe(connections);
}

export { expect };
