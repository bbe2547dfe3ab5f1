// The console at /console as people use it: password, statements, completion, errors, the subscription tester; and the
// page that leads there.

import type { Locator, Page } from "@playwright/test";
import { PASSWORD, Server } from "./support/server.js";
import { shoot } from "./support/shots.js";
import { eventually, expect, test } from "./support/test.js";
import type { Visitor } from "./support/visitor.js";

async function logIn(server: Server, who: Visitor, dev?: number): Promise<Page> {
  const page = await who.context.newPage();
  await page.goto(`${server.url}/console`);
  if (dev !== undefined) {
    await page.getByText("Another user or tenant").click();
    await page.getByTestId("dev").fill(String(dev));
  }
  await page.getByTestId("password").fill(PASSWORD);
  await page.getByTestId("login").click();
  await expect(page.getByTestId("prompt")).toBeFocused();
  return page;
}

async function run(page: Page, statement: string): Promise<Locator> {
  await page.getByTestId("prompt").fill(statement);
  await page.getByTestId("prompt").press("Enter");
  return page.getByTestId("output");
}

test("a wrong password is told, the right one opens; it is written down nowhere", async ({ server, visitor, problems }) => {
  problems.announce(/status of 401/);
  const browser = await visitor();
  const page = await browser.context.newPage();
  await page.goto(`${server.url}/console`);
  await page.getByTestId("password").fill("wrong");
  await page.getByTestId("login").click();
  await expect(page.getByTestId("login-error")).toHaveText("Wrong password or user name.");
  await page.getByTestId("password").fill(PASSWORD);
  await page.getByTestId("login").click();
  await expect(page.getByTestId("prompt")).toBeVisible();
  const kept = await page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.href])");
  expect(kept).not.toContain(PASSWORD);
  await page.reload();
  await expect(page.getByTestId("password")).toBeVisible();
  await page.getByTestId("password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("prompt")).toBeVisible();
  await page.getByTestId("log-out").click();
  await expect(page.getByTestId("password")).toBeVisible();
});

test("statements: tables, affected rows, errors, values exactly", async ({ tenant, visitor }) => {
  const page = await logIn(tenant.server, await visitor(), tenant.dev);
  const output = await run(page, "INSERT INTO users_data (id, data) VALUES (5, 'it''s <b>5</b> 😀');");
  await expect(output).toContainText(/1 row/);
  await run(page, "SELECT * FROM users_data WHERE id = 5");
  await expect(output.getByRole("cell", { name: "it's <b>5</b> 😀" })).toBeVisible();
  await run(page, "SELEC nonsense");
  await expect(output).toContainText(/error 3|ERROR 3|\(3\)|\b3\b/i);
  await run(page, "SELECT * FROM nowhere");
  await expect(output).toContainText("15");
  // Several at once.
  await run(page, "SHOW TABLES; SHOW DATABASES;");
  await expect(output.getByRole("cell", { name: "revoked_tokens" })).toBeVisible();
  await expect(output.getByRole("cell", { name: "CometQL_v1" })).toBeVisible();
  expect(await tenant.select("SELECT * FROM users_data WHERE id = 5")).toEqual([{ id: "5", data: "it's <b>5</b> 😀" }]);
});

test("completion and history by keyboard", async ({ server, visitor }) => {
  const page = await logIn(server, await visitor());
  const prompt = page.getByTestId("prompt");
  await prompt.pressSequentially("SELECT * FROM users_m");
  await prompt.press("Tab");
  await expect(prompt).toHaveValue(/FROM users_messages ?$/);
  await prompt.fill("SELECT * FROM users_");
  await prompt.press("Tab");
  const list = page.getByTestId("completions");
  await expect(list).toBeVisible();
  await expect(list.getByRole("option", { name: /users_auth/ })).toBeVisible();
  await prompt.press("Escape");
  await expect(list).toBeHidden();
  await run(page, "SELECT 1;");
  await run(page, "SHOW TABLES;");
  await prompt.press("ArrowUp");
  await expect(prompt).toHaveValue("SHOW TABLES;");
  await prompt.press("ArrowUp");
  await expect(prompt).toHaveValue("SELECT 1;");
  await prompt.press("ArrowDown");
  await expect(prompt).toHaveValue("SHOW TABLES;");
  // An unfinished statement goes on in the next line.
  await prompt.fill("SELECT 'unfinished");
  await prompt.press("Enter");
  await expect(prompt).toHaveValue("SELECT 'unfinished\n");
});

test("the subscription tester: connect, subscribe, see what statements send, send and ask", async ({ tenant, visitor }) => {
  await tenant.authorize(7, "key7");
  const browser = await visitor({ viewport: { width: 1200, height: 720 }, colorScheme: "light" });
  const page = await logIn(tenant.server, browser, tenant.dev);
  await page.getByTestId("test-user").fill("7");
  await page.getByTestId("test-key").fill("key7");
  await page.locator("#test-dev").fill(String(tenant.dev));
  await page.getByTestId("test-connect").click();
  await expect(page.getByTestId("test-state")).toContainText(/connected|authorized|user 7/i);
  await page.getByTestId("test-channels").fill("web_hello news.today");
  await page.getByTestId("test-subscribe").click();
  await expect(page.getByTestId("test-subscribed")).toContainText("web_hello");
  await eventually(async () => (await tenant.subscribers("web_hello")).length).toBe(1);
  const output = await run(page, "INSERT INTO pipes_messages (name, event, message) VALUES ('web_hello', 'greeting', '{\"text\": \"it works\"}');");
  await expect(output).toContainText("delivered=1");
  const arrivals = page.getByTestId("arrivals");
  await expect(arrivals).toContainText("it works");
  await run(page, "SELECT name, user_id, language FROM users_in_pipes WHERE name = 'web_hello';");
  await expect(output.getByRole("cell", { name: "web_hello" })).toBeVisible();
  await run(page, "INSERT INTO users_messages (id, event, message) VALUES (7, 'note', 'for seven');");
  await expect(arrivals).toContainText("for seven");
  await shoot(page, "console", true);
  await page.getByText("Send to a channel").click();
  await page.getByTestId("test-send").click();
  await page.getByText("Ask the server").click();
  await page.getByTestId("ask-what").selectOption("count");
  await page.getByTestId("test-ask").click();
  await expect(arrivals.getByTestId("arrival").filter({ hasText: "count of web_hello" }).locator("pre")).toHaveText("1");
  await page.getByTestId("test-disconnect").click();
  await eventually(() => tenant.connections()).toBe(0);
});

test("on a phone, in the dark", async ({ server, visitor }) => {
  const browser = await visitor({ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
  const page = await logIn(server, browser);
  const output = await run(page, "SHOW TABLES;");
  await expect(output.getByRole("cell", { name: "users_auth" })).toBeVisible();
  expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
  await shoot(page, "console-phone-dark");
  await page.getByRole("button", { name: "Tester" }).click();
  await expect(page.getByTestId("test-connect")).toBeVisible();
  expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
});

test("the first page says what runs here and leads on", async ({ server, visitor }) => {
  const page = await (await visitor()).context.newPage();
  await page.goto(server.url);
  await expect(page.getByRole("heading", { level: 1 })).toContainText("comet-server");
  await expect(page.getByTestId("state")).not.toContainText("Asking");
  await shoot(page, "start");
  await page.getByRole("link", { name: /Chat demo/ }).click();
  await expect(page.getByTestId("name")).toBeVisible();
  await page.goBack();
  await page.getByRole("link", { name: /CometQL console/ }).click();
  await expect(page.getByTestId("password")).toBeVisible();
});

test("a server that is told so has no console and no demo", async ({ visitor, problems }) => {
  problems.announce(/status of 404/);
  const server = await Server.start({ COMET_CONSOLE: "false", COMET_DEMO: "false" });
  try {
    const browser = await visitor();
    const page = await browser.context.newPage();
    expect((await page.goto(`${server.url}/console`))?.status()).toBe(404);
    expect((await page.goto(`${server.url}/demo`))?.status()).toBe(404);
    await page.goto(server.url);
    await expect(page.getByTestId("state")).not.toContainText("Asking");
    await expect(page.locator("#no-console")).toBeVisible();
    await expect(page.locator("#door-console")).toBeHidden();
    await expect(page.locator("#door-demo")).toBeHidden();
    await browser.close();
  } finally {
    await server.dispose();
  }
});
