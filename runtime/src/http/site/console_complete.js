// Completion: which words fit before the cursor (pure), and the list that offers them. Tab completes only behind the beginning of a
// word; elsewhere it moves on to the next control, as everywhere on the web.

import { KEYWORDS, SHOWN, VERBS } from "./console_schema.js";
import { tokens } from "./console_sql.js";
import { byId, el } from "./dom.js";

/**
 * What fits at `cursor`: { from, words }; `from` is where the word begins that a choice replaces.
 * `tables`: name -> columns.
 */
export function complete(text, cursor, tables) {
  const none = { from: cursor, words: [] };
  const before = tokens(text.slice(0, cursor));
  const last = before.at(-1);
  if (last !== undefined && last.open) {
    return none;
  }
  const begun = last?.kind === "word" ? last.text : "";
  const from = cursor - begun.length;
  const lead = statementWords(begun === "" ? before : before.slice(0, -1));
  const context = wordsFor(lead, tableOf(text, cursor, tables), tables);
  const words = context.filter(word => word.toLowerCase().startsWith(begun.toLowerCase()) && word !== begun);
  return { from, words };
}

/** The words and signs of the statement that is being written, in upper case. */
function statementWords(pieces) {
  const end = pieces.findLastIndex(piece => piece.kind === "semicolon");
  return pieces.slice(end + 1).filter(piece => piece.kind !== "blank" && piece.kind !== "comment").map(piece => piece.text.toUpperCase());
}

/** Columns of the table that the statement names, before or behind the cursor; of all tables if it names none. */
function tableOf(text, cursor, tables) {
  const pieces = tokens(text);
  const bounds = pieces.filter(piece => piece.kind === "semicolon").map(piece => piece.start);
  const start = bounds.findLast(at => at < cursor) ?? -1;
  const end = bounds.find(at => at >= cursor) ?? text.length;
  const names = pieces.filter(piece => piece.start > start && piece.start < end).map(piece => piece.text.toLowerCase().replace(/["'`]/g, ""));
  const table = names.find(name => tables.has(name));
  return table === undefined ? [...new Set([...tables.values()].flat())] : tables.get(table);
}

function wordsFor(lead, columns, tables) {
  const last = lead.at(-1);
  if (last === undefined) {
    return VERBS;
  }
  if (lead[0] === "SHOW") {
    return ["FROM", "IN"].includes(last) ? [...tables.keys()] : lead.length === 1 ? SHOWN : ["STATUS", "FROM", "LIKE"];
  }
  if (["FROM", "INTO", "DESCRIBE", "DESC"].includes(last) && !lead.includes("ORDER")) {
    return [...tables.keys()];
  }
  if (["INSERT", "DELETE"].includes(last)) {
    return [last === "INSERT" ? "INTO" : "FROM"];
  }
  if (last === "ORDER") {
    return ["BY"];
  }
  if (lead[0] === "INSERT" && lead.length === 3) {
    return ["VALUES"];
  }
  return [...columns, ...KEYWORDS];
}

/** The longest beginning that all words share, ignoring case; in the manner of the first. */
export function sharedBeginning(words) {
  let shared = words[0] ?? "";
  for (const word of words) {
    while (!word.toLowerCase().startsWith(shared.toLowerCase())) {
      shared = shared.slice(0, -1);
    }
  }
  return shared;
}

const SHOWN_MAX = 200;

/** The list above the prompt. `words()` gives what fits now, `choose(from, word)` puts a word in. */
export class CompletionList {
  #box = byId("completions");
  #input;
  #fitting;
  #choose;
  #found = { from: 0, words: [] };
  #at = 0;

  constructor(input, fitting, choose) {
    this.#input = input;
    this.#fitting = fitting;
    this.#choose = choose;
  }

  get isOpen() {
    return !this.#box.hidden;
  }

  /** A single fitting word is put in at once; of several, what they share. True if there was any. */
  start() {
    this.#found = this.#fitting();
    const { from, words } = this.#found;
    if (words.length === 1) {
      this.#choose(from, words[0]);
      return true;
    }
    const shared = sharedBeginning(words);
    if (words.length > 1 && shared.length > this.#input.selectionStart - from) {
      this.#choose(from, shared, true);
    }
    return this.refresh();
  }

  /** After something was typed while the list is open. */
  refresh() {
    this.#found = this.#fitting();
    this.#at = 0;
    this.#show(this.#found.words.length > 0);
    return this.isOpen;
  }

  close() {
    this.#show(false);
  }

  /** True if the key belonged to the list. */
  key(event) {
    if (!this.isOpen) {
      return false;
    }
    const count = this.#found.words.length;
    const to = { ArrowDown: (this.#at + 1) % count, ArrowUp: (this.#at + count - 1) % count }[event.key];
    if (to !== undefined) {
      this.#mark(to);
    } else if (event.key === "Enter" || event.key === "Tab") {
      this.#take(this.#at);
    } else if (event.key === "Escape") {
      this.close();
    } else {
      return false;
    }
    return true;
  }

  #take(at) {
    const word = this.#found.words[at];
    this.close();
    this.#choose(this.#found.from, word);
    this.#input.focus();
  }

  #show(open) {
    this.#box.hidden = !open;
    this.#box.replaceChildren(...(open ? this.#found.words : []).slice(0, SHOWN_MAX).map((word, at) =>
      el("li", { role: "option", id: `completion-${at}`, class: /[a-z]/.test(word) ? "name" : "keyword", onmousedown: event => {
        event.preventDefault();
        this.#take(at);
      } }, word)));
    if (open) {
      this.#mark(0);
    } else {
      this.#input.removeAttribute("aria-activedescendant");
    }
  }

  #mark(at) {
    this.#at = at;
    [...this.#box.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
    this.#box.children[at]?.scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", `completion-${at}`);
  }
}
