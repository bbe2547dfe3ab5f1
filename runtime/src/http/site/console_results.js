// Shows what was typed and what came back: tables, counts, errors. Long texts are cut until somebody wants them; long tables come in
// parts. The screen keeps a bounded number of runs.

import { byId, el } from "./dom.js";

const RUNS_MAX = 200;
const ROWS_AT_ONCE = 200;
const CELL_CUT = 240;
/** Shorter cells stay on one line. */
const CELL_LINE = 48;

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** 800 -> "0.8 ms" */
export function duration(microseconds) {
  return microseconds < 1_000_000 ? `${(microseconds / 1000).toFixed(1)} ms` : `${(microseconds / 1_000_000).toFixed(2)} s`;
}

/** A new run on the screen; returns where its results go. */
export function beginRun(text, again) {
  const body = el("div", { class: "results" });
  const repeat = el("button", { class: "typed", type: "button", title: "Put it into the prompt again", onclick: () => again(text) }, text);
  const run = el("article", { class: "run", "data-testid": "run" }, repeat, body);
  const screen = byId("screen");
  screen.append(run);
  while (screen.children.length > RUNS_MAX) {
    screen.firstChild.remove();
  }
  toEnd();
  return body;
}

export function clearScreen() {
  byId("screen").replaceChildren();
}

function toEnd() {
  const frame = byId("output");
  frame.scrollTop = frame.scrollHeight;
}

/** `pairs`: syntax and meaning; `notes`: sentences. */
export function showHelp(body, pairs, notes) {
  const list = pairs.flatMap(([syntax, meaning]) => [el("dt", {}, el("code", {}, syntax)), el("dd", {}, meaning)]);
  body.append(el("dl", { class: "help", "data-testid": "help" }, ...list), el("ul", { class: "notes soft" }, ...notes.map(note => el("li", {}, note))));
  toEnd();
}

export function showError(body, code, text) {
  body.append(el("p", { class: "error", "data-testid": "error" }, ...(code === undefined ? [] : [el("b", {}, `Error ${code}`), " "]), text));
  toEnd();
}

/** The answer of the console's endpoint to `count` statements. */
export function showAnswer(body, answer, count) {
  for (const result of answer.results) {
    if (result.error !== undefined) {
      showError(body, result.error.code, result.error.message);
    } else if (result.columns !== undefined) {
      showRows(body, result);
    } else {
      const info = result.info ? ` · ${result.info}` : "";
      body.append(el("p", { class: "answer", "data-testid": "done" }, `OK, ${plural(result.affected, "row")} affected${info}`));
    }
  }
  const left = count - answer.results.length;
  const rest = left > 0 ? `${plural(left, "statement")} not run · ` : count > 1 ? `${plural(count, "statement")} · ` : "";
  body.append(el("p", { class: "elapsed small soft" }, rest + duration(answer.elapsed_us)));
  toEnd();
}

function showRows(body, { columns, rows }) {
  const head = el("thead", {}, el("tr", {}, ...columns.map(name => el("th", { scope: "col" }, name))));
  const filled = el("tbody");
  const more = el("button", { class: "button small", type: "button" });
  const grow = () => {
    const from = filled.children.length;
    filled.append(...rows.slice(from, from + ROWS_AT_ONCE).map(row => el("tr", {}, ...row.map(makeCell))));
    const left = rows.length - filled.children.length;
    more.textContent = `${plural(left, "more row")}`;
    more.hidden = left === 0;
  };
  more.addEventListener("click", grow);
  grow();
  const count = rows.length === 0 ? "Empty set" : `${plural(rows.length, "row")} in set`;
  if (rows.length > 0) {
    body.append(el("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": "Result" }, el("table", { "data-testid": "table" }, head, filled)), more);
  }
  body.append(el("p", { class: "answer", "data-testid": "row-count" }, count));
}

function makeCell(value) {
  if (value === null) {
    return el("td", { class: "null" }, "NULL");
  }
  if (typeof value === "number") {
    return el("td", { class: "number" }, String(value));
  }
  const text = String(value);
  const long = text.length > CELL_CUT;
  const cell = el("td", {}, el("span", { class: text.length > CELL_LINE ? "value long" : "value" }, long ? `${text.slice(0, CELL_CUT)}…` : text));
  if (long) {
    const toggle = el("button", { class: "link small", type: "button", "aria-expanded": "false" }, `all ${text.length} characters`);
    toggle.addEventListener("click", () => {
      const open = toggle.getAttribute("aria-expanded") === "false";
      toggle.setAttribute("aria-expanded", String(open));
      cell.firstChild.textContent = open ? text : `${text.slice(0, CELL_CUT)}…`;
      toggle.textContent = open ? "less" : `all ${text.length} characters`;
    });
    cell.append(toggle);
  }
  return cell;
}
