// The chat at /demo as people use it: two windows, names, rooms, who is there, history, private messages for somebody
// who is away; on a phone, in the dark, with the keyboard alone.

import type { BrowserContextOptions, Locator, Page } from "@playwright/test";
import { CONNECTION_FAILED } from "./support/problems.js";
import { shoot } from "./support/shots.js";
import { expect, test } from "./support/test.js";
import { upTo } from "./support/stream.js";
import { Server } from "./support/server.js";
import type { Visitor } from "./support/visitor.js";

const PHONE = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true };

async function enter(server: Server, who: Visitor, name: string): Promise<Page> {
  const page = await who.context.newPage();
  await page.goto(`${server.url}/demo`);
  await page.getByTestId("name").fill(name);
  await page.getByTestId("enter").click();
  await expect(page.getByTestId("connection")).toHaveText("connected");
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByTestId("message").fill(text);
  await page.getByTestId("send").click();
}

const texts = (page: Page): Locator => page.getByTestId("messages").getByTestId("text");
const room = (page: Page, name: string): Locator => page.getByTestId("rooms").locator(`[data-name="${name}"]`);
const person = (page: Page, name: string): Locator => page.getByTestId("people").locator(`[data-name="${name}"]`);
const names = (page: Page): Promise<string[]> => page.getByTestId("rooms").getByTestId("room")
  .evaluateAll((rooms) => rooms.map((one) => (one as HTMLElement).dataset["name"] ?? ""));

type Visit = (options?: BrowserContextOptions) => Promise<Visitor>;

/** On a server where nobody has said anything before. Its pages end before it does. */
async function alone(visitor: Visit, run: (server: Server, visitor: Visit) => Promise<void>): Promise<void> {
  const server = await Server.start();
  const visitors: Visitor[] = [];
  try {
    await run(server, async (options) => {
      const one = await visitor(options);
      visitors.push(one);
      return one;
    });
  } finally {
    for (const one of visitors) await one.close();
    await server.dispose();
  }
}

test("two windows: they see each other, talk in rooms, and what was said stays", async ({ server, visitor }) => {
  const ann = await enter(server, await visitor(), "Ann");
  const bob = await enter(server, await visitor(), "Bob");
  await expect(person(ann, "Bob")).toBeVisible();
  await expect(person(bob, "Ann")).toBeVisible();
  await expect(person(ann, "Bob")).toHaveAttribute("data-online", "true");
  await say(ann, "Hello, it's \"Ann\" \\ 😀");
  await expect(texts(bob).last()).toHaveText("Hello, it's \"Ann\" \\ 😀");
  await expect(ann.getByTestId("messages").getByTestId("note").last()).toContainText("seen by");
  await say(bob, "Hello Ann. <b>Not bold</b>");
  await expect(texts(ann).last()).toHaveText("Hello Ann. <b>Not bold</b>");
  // Another room has its own talk, and tells that something is unread.
  const [first = "", second = ""] = await names(ann);
  await room(ann, second).click();
  await say(ann, `Only in ${second}`);
  await expect(room(bob, second).locator(".badge")).toContainText("1");
  await expect(texts(bob).filter({ hasText: `Only in ${second}` })).toHaveCount(0);
  await room(bob, second).click();
  await expect(texts(bob).last()).toHaveText(`Only in ${second}`);
  await expect(room(bob, second).locator(".badge")).toBeHidden();
  // A reload needs no door, and finds the history.
  await bob.reload();
  await expect(bob.getByTestId("my-name")).toHaveText("Bob");
  await room(bob, first).click();
  await expect(texts(bob).filter({ hasText: "Hello, it's \"Ann\"" })).toHaveCount(1);
  await expect(texts(bob).filter({ hasText: "Hello Ann." })).toHaveCount(1);
});

test("a picture of two windows", async ({ visitor: visit }) => {
  await alone(visit, async (server, visitor) => {
    const size = { viewport: { width: 800, height: 640 }, colorScheme: "light" as const };
    const ada = await enter(server, await visitor(size), "Ada");
    const max = await enter(server, await visitor(size), "Max");
    for (const [page, other, text] of [
      [ada, max, "Did the order arrive?"], [max, ada, "Yes, the page showed it at once."], [ada, max, "No reload, no polling."],
    ] as const) {
      await say(page, text);
      await expect(texts(other).last()).toHaveText(text);
    }
    await expect(person(ada, "Max")).toBeVisible();
    // Both windows in one picture, as they stand side by side on a screen.
    const shots = await Promise.all([ada, max].map((page) => page.screenshot({ caret: "hide", animations: "disabled" })));
    const table = await (await visitor({ viewport: { width: 1280, height: 525 } })).context.newPage();
    await table.setContent(`<body style="margin:16px;display:flex;gap:16px;background:#8a90a0">${shots.map((data) =>
      `<img style="width:616px;border-radius:8px" src="data:image/png;base64,${data.toString("base64")}">`).join("")}`);
    await shoot(table, "demo-two-windows", true);
  });
});

test("a private message waits for somebody who left, and is there when he comes back", async ({ server, visitor }) => {
  const eve = await enter(server, await visitor(), "Eve");
  const away = await visitor();
  const tom = await enter(server, away, "Tom");
  await expect(person(eve, "Tom")).toBeVisible();
  await tom.getByTestId("leave").click();
  await expect(tom.getByTestId("name")).toBeVisible();
  await expect(person(eve, "Tom")).toHaveAttribute("data-online", "false");
  await person(eve, "Tom").click();
  await say(eve, "Are you there?");
  await expect(eve.getByTestId("messages").getByTestId("note").last()).toContainText("waits until Tom comes back");
  // He comes back after the server had a restart.
  await tom.close();
  const back = await away.context.newPage();
  await back.goto(`${server.url}/demo`);
  await back.getByRole("button", { name: "Come back as Tom" }).click();
  await expect(person(back, "Eve").locator(".badge")).toContainText("1");
  await person(back, "Eve").click();
  await expect(texts(back)).toHaveText(["Are you there?"]);
  await say(back, "Now I am");
  await expect(texts(eve)).toHaveText(["Are you there?", "Now I am"]);
  await back.reload();
  await person(back, "Eve").click();
  await expect(texts(back)).toHaveText(["Are you there?", "Now I am"]);
});

test("two windows of one browser are two people; two tabs of one person share a connection", async ({ server, visitor }) => {
  const browser = await visitor();
  const ann = await enter(server, browser, "Una");
  const bob = await enter(server, browser, "Udo");
  await expect(person(ann, "Udo")).toBeVisible();
  await say(ann, "same browser, two people");
  await expect(texts(bob).last()).toHaveText("same browser, two people");
  const again = await browser.context.newPage();
  await again.goto(`${server.url}/demo`);
  await again.getByRole("button", { name: "Come back as Una" }).click();
  await expect(again.getByTestId("connection")).toHaveText("connected");
  await expect(ann.getByTestId("master")).toHaveText("this tab holds the connection");
  await expect(again.getByTestId("master")).toHaveText("another tab holds the connection");
  await say(bob, "to both tabs");
  for (const page of [ann, again]) await expect(texts(page).last()).toHaveText("to both tabs");
  await ann.close();
  await expect(again.getByTestId("master")).toHaveText("this tab holds the connection");
  await say(bob, "to the one that is left");
  await expect(texts(again).last()).toHaveText("to the one that is left");
});

test("somebody types, and the others see it", async ({ server, visitor }) => {
  const ann = await enter(server, await visitor(), "Ina");
  const bob = await enter(server, await visitor(), "Ivo");
  await expect(person(ann, "Ivo")).toBeVisible();
  await bob.getByTestId("message").pressSequentially("hm");
  await expect(ann.getByTestId("typing")).toContainText("Ivo is typing");
});

test("the server goes away and comes back: the page says so, and sends what was written", async ({ server, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED);
  const ann = await enter(server, await visitor(), "Ria");
  const bob = await enter(server, await visitor(), "Rob");
  await server.kill();
  await expect(ann.getByTestId("banner")).toBeVisible();
  await say(ann, "written while it was away");
  await server.launch();
  await expect(ann.getByTestId("connection")).toHaveText("connected");
  await expect(ann.getByTestId("banner")).toBeHidden();
  await expect(texts(bob).filter({ hasText: "written while it was away" })).toHaveCount(1);
  await expect(texts(ann).filter({ hasText: "written while it was away" })).toHaveCount(1);
});

test("on a phone, in the dark", async ({ visitor: visit }) => {
  await alone(visit, async (server, visitor) => {
    const kim = await enter(server, await visitor({ ...PHONE, colorScheme: "dark" }), "Kim");
    const lea = await enter(server, await visitor(), "Lea");
    await say(lea, "Where are you?");
    await expect(texts(kim).last()).toHaveText("Where are you?");
    await say(kim, "On the train. It works here, too.");
    await expect(texts(lea).last()).toContainText("On the train");
    // Nothing is wider than the screen.
    expect(await kim.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    await shoot(kim, "demo-phone-dark", true);
    await kim.getByRole("button", { name: /Rooms and people/ }).click();
    await expect(person(kim, "Lea")).toBeVisible();
    await shoot(kim, "demo-phone-places");
    await person(kim, "Lea").click();
    await say(kim, "Just between us");
    await expect(person(lea, "Kim").locator(".badge")).toContainText("1");
  });
});

test("with the keyboard alone", async ({ server, visitor }) => {
  const page = await (await visitor()).context.newPage();
  await page.goto(`${server.url}/demo`);
  await expect(page.getByTestId("name")).toBeFocused();
  await page.keyboard.type("Kay");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("connection")).toHaveText("connected");
  await expect(page.getByTestId("message")).toBeFocused();
  await page.keyboard.type("typed with the keyboard");
  await page.keyboard.press("Enter");
  await expect(texts(page).last()).toHaveText("typed with the keyboard");
  await page.keyboard.type("two");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("lines");
  await page.keyboard.press("Enter");
  await expect(texts(page).last()).toHaveText("two\nlines");
  // To the list of rooms, and with the arrows to the next one.
  const [, second = ""] = await names(page);
  for (const _ of upTo(12)) {
    await page.keyboard.press("Shift+Tab");
    if (await page.evaluate("document.activeElement.closest('#rooms') !== null")) break;
  }
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("title")).toHaveText(second);
});

test("names that are none and a server that does not answer are told at the door", async ({ server, visitor, problems }) => {
  problems.announce(CONNECTION_FAILED, /status of 4\d\d/, /ERR_CONNECTION_REFUSED/);
  const page = await (await visitor()).context.newPage();
  await page.goto(`${server.url}/demo`);
  await page.getByTestId("name").fill("   ");
  await page.getByTestId("enter").click();
  await expect(page.getByTestId("messages")).toBeHidden();
  await server.stop();
  await page.getByTestId("name").fill("Zoe");
  await page.getByTestId("enter").click();
  await expect(page.getByTestId("enter-error")).toBeVisible();
  await server.launch();
  await page.getByTestId("enter").click();
  await expect(page.getByTestId("connection")).toHaveText("connected");
});
