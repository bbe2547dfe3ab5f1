// The page of docs/guide.md, opened as the guide says: docs/example as the server's folder of web pages.

import { fileURLToPath } from "node:url";
import type { Browser, Page } from "@playwright/test";
import { CONNECTION_FAILED, type Problems } from "./support/problems.js";
import { Server } from "./support/server.js";
import { Tenant } from "./support/tenant.js";
import { expect, test as base } from "./support/test.js";

const EXAMPLE = fileURLToPath(new URL("../../docs/example", import.meta.url));

interface Guide {
  readonly guide: { readonly server: Server; readonly backEnd: Tenant };
}

const test = base.extend<Guide>({
  guide: async ({}, use) => {
    const server = await Server.start({ COMET_BASE_DIR: EXAMPLE });
    const backEnd = new Tenant(server, 0);
    await use({ server, backEnd });
    await backEnd.close();
    await server.dispose();
  },
});

async function open(browser: Browser, problems: Problems, url: string): Promise<Page> {
  const context = await browser.newContext();
  problems.watch(context);
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

test("the guide's page: channel, presence, private messages, history", async ({ browser, problems, guide }) => {
  const { server, backEnd } = guide;
  await backEnd.run("INSERT INTO pipes_settings (name, length) VALUES ('web_chat', 20)");
  await backEnd.run("INSERT INTO users_auth (id, hash) VALUES (7, 'keyOfAnn')");
  expect(await backEnd.run(`INSERT INTO users_messages (id, event, message) VALUES (7, 'note', '{"text":"just you"}')`))
    .toBe("delivered=0 queued=1");

  const ann = await open(browser, problems, `${server.url}/chat.html?user=7&key=keyOfAnn`);
  await expect(ann.locator("#state")).toHaveText("you are user 7");
  await expect(ann.locator("#private")).toHaveText("private: just you (it had waited)");
  const stranger = await open(browser, problems, `${server.url}/chat.html`);
  await expect(stranger.locator("#state")).toHaveText("you are anonymous");
  for (const page of [ann, stranger]) await expect(page.locator("#online")).toHaveText("2");

  await say(ann, "hello");
  await expect(ann.locator("#log")).toHaveText("you: hello (1 heard it)");
  await expect(stranger.locator("#log")).toHaveText("7: hello");
  expect(await backEnd.run(`INSERT INTO pipes_messages (name, event, message) VALUES ('web_chat', 'say', '{"text":"from SQL"}')`))
    .toBe("delivered=2 queued=0");
  await expect(ann.locator("#log li")).toHaveText(["you: hello (1 heard it)", "somebody: from SQL"]);

  await stranger.reload();
  await expect(stranger.locator("#log li")).toHaveText(["7: hello", "somebody: from SQL"]);
  await stranger.context().close();
  await expect(ann.locator("#online")).toHaveText("1");
  await ann.context().close();
});

test("the guide's page comes back after the server was down, and what was typed meanwhile is sent", async ({ browser, problems, guide }) => {
  problems.announce(CONNECTION_FAILED);
  const { server } = guide;
  const ann = await open(browser, problems, `${server.url}/chat.html`);
  const ben = await open(browser, problems, `${server.url}/chat.html`);
  for (const page of [ann, ben]) await expect(page.locator("#online")).toHaveText("2");
  await server.kill();
  await expect(ann.locator("#state")).toContainText("waiting");
  await say(ann, "typed in the dark");
  await server.launch();
  for (const page of [ann, ben]) {
    await expect(page.locator("#state")).toHaveText("you are anonymous");
    await expect(page.locator("#online")).toHaveText("2");
  }
  await expect(ann.locator("#log")).toContainText("you: typed in the dark");
  await ann.context().close();
  await ben.context().close();
});
