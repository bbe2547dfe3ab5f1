// The console: asks for the password, runs statements on POST /console/query, keeps the tester beside it. The password lives in a
// variable of this page and nowhere else; it goes with the page.

import { prompt } from "./console_prompt.js";
import { beginRun, clearScreen, showAnswer, showError, showHelp } from "./console_results.js";
import { EXAMPLES, HELP, NOTES, TABLES } from "./console_schema.js";
import { splitStatements } from "./console_sql.js";
import { startTester } from "./console_tester.js";
import { arrowKeys, byId, el, serverAddress, setText } from "./dom.js";

/** The session: undefined while nobody is logged in. */
let login;
let tables = TABLES;
/** Ends when everything entered so far has run: what is entered next may build upon it. */
let running = Promise.resolve();

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** base64 of the UTF-8 bytes: passwords may hold any letter. */
function basic(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** Runs statements as `who`; throws Refused. */
async function query(who, statements) {
  const headers = { "Authorization": basic(who.user, who.password), "Content-Type": "application/json", "X-Comet-Console": "1" };
  const body = JSON.stringify(who.dev === undefined ? { statements } : { dev_id: who.dev, statements });
  let answer;
  try {
    answer = await fetch(`${serverAddress().http}/console/query`, { method: "POST", headers, body, credentials: "omit", cache: "no-store" });
  } catch {
    throw new Refused(0, "The server does not answer.");
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.ok && Array.isArray(content.results)) {
    return content;
  }
  throw new Refused(answer.status, reason(answer, content));
}

function reason(answer, content) {
  if (answer.status === 401) {
    return "Wrong password or user name.";
  }
  if (answer.status === 404) {
    return "The console is not open to you here. COMET_CONSOLE=on opens it to everybody who knows the password.";
  }
  if (answer.status === 429) {
    return `Too many wrong passwords. Try again in ${answer.headers.get("Retry-After") ?? "a few"} seconds.`;
  }
  return typeof content.error === "string" ? `${content.error}.` : `The server answered ${answer.status}.`;
}

/** The words for completion, from the server itself. */
async function learnTables(who) {
  const { results: [list] } = await query(who, ["SHOW TABLES"]);
  const names = list.rows.map(([name]) => String(name)).filter(name => /^\w+$/.test(name));
  const { results } = await query(who, names.map(name => `DESCRIBE ${name}`));
  const known = names.map((name, at) => [name, results[at]?.rows?.map(([column]) => String(column)) ?? TABLES.get(name) ?? []]);
  return new Map(known);
}

async function logIn() {
  const who = { user: byId("user").value.trim() || "root", password: byId("password").value, dev: readDev() };
  const version = (await query(who, ["SELECT VERSION()"])).results[0];
  login = who;
  byId("password").value = "";
  byId("login").hidden = true;
  byId("console").hidden = false;
  setText(byId("who"), `${who.user}${who.dev === undefined ? "" : ` · tenant ${who.dev}`}`);
  setText(byId("server"), String(version.rows?.[0]?.[0] ?? ""));
  byId("prompt").focus();
  try {
    tables = await learnTables(who);
  } catch {
    // The page's own list serves.
  }
}

function readDev() {
  const text = byId("dev").value.trim();
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function logOut(why) {
  login = undefined;
  clearScreen();
  byId("console").hidden = true;
  byId("login").hidden = false;
  sayAtLogin(why);
  byId("password").focus();
}

function sayAtLogin(text) {
  setText(byId("login-error"), text);
  byId("login-error").hidden = text === "";
}

function run(text, again) {
  const word = text.replace(/;\s*$/, "").trim().toLowerCase();
  if (word === "clear") {
    clearScreen();
    return;
  }
  const body = beginRun(text, again);
  if (word === "help") {
    showHelp(body, HELP, NOTES);
    return;
  }
  running = running.then(() => execute(splitStatements(text), body));
}

async function execute(statements, body) {
  if (login === undefined) {
    return;
  }
  try {
    showAnswer(body, await query(login, statements), statements.length);
  } catch (error) {
    showError(body, undefined, error.message);
    if (error.status === 401) {
      logOut("The server does not take this password any more.");
    }
  }
}

/** On a narrow screen one of the two is shown. */
function showPane(pane) {
  byId("console").dataset.pane = pane;
  for (const name of ["sql", "tester"]) {
    byId(`show-${name}`).setAttribute("aria-pressed", String(name === pane));
  }
}

function begin() {
  const { fill } = prompt(text => run(text, fill), () => tables);
  byId("examples").append(...EXAMPLES.map(([title, text]) =>
    el("li", {}, el("button", { class: "button small", type: "button", title: text, onclick: () => fill(text) }, title))));
  arrowKeys(byId("examples"));
  byId("login-form").addEventListener("submit", async event => {
    event.preventDefault();
    byId("login-button").disabled = true;
    sayAtLogin("");
    try {
      await logIn();
    } catch (error) {
      sayAtLogin(error.message);
      byId("password").select();
    } finally {
      byId("login-button").disabled = false;
    }
  });
  // With the page goes all it knows: what was typed, what came back, the tester's key and connection.
  byId("log-out").addEventListener("click", () => location.reload());
  byId("show-sql").addEventListener("click", () => showPane("sql"));
  byId("show-tester").addEventListener("click", () => showPane("tester"));
  startTester();
  byId("password").focus();
}

begin();
