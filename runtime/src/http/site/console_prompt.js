// The prompt: a box of several lines with history and completion. What was typed is kept for this tab over reloads, but for statements
// that may hold keys or tokens; those are known until the page goes.

import { CompletionList, complete } from "./console_complete.js";
import { isUnfinished, mayHoldSecret } from "./console_sql.js";
import { byId } from "./dom.js";
import { box } from "./storage.js";

const HISTORY = "comet_console_history";
const HISTORY_MAX = 200;

const tab = box("sessionStorage");

/** `run(text)` is called with what is entered; `tables()` gives name -> columns. Returns { fill } to put a text in. */
export function prompt(run, tables) {
  const input = byId("prompt");
  const history = new History();
  const put = text => {
    input.value = text;
    input.setSelectionRange(text.length, text.length);
    input.scrollTop = input.scrollHeight;
  };
  const list = new CompletionList(input, () => complete(input.value, input.selectionStart, tables()), (from, word, part) => {
    const rest = input.value.slice(input.selectionStart);
    const space = part || /^[\s(]/.test(rest) || word.endsWith(")") ? "" : " ";
    input.setRangeText(word + space, from, input.selectionStart, "end");
  });
  const enter = () => {
    const text = input.value.trim();
    if (text === "") {
      return;
    }
    list.close();
    history.add(text);
    put("");
    run(text);
  };
  // After Esc the next Tab leaves the box, whatever stands in it: nobody is trapped.
  let escaped = false;
  input.addEventListener("keydown", event => {
    const leaves = escaped && event.key === "Tab";
    escaped = event.key === "Escape";
    if (!leaves && !event.isComposing && (list.key(event) || pressed(event, { input, list, history, put, enter }))) {
      event.preventDefault();
    }
  });
  input.addEventListener("input", () => list.isOpen && list.refresh());
  input.addEventListener("blur", () => list.close());
  byId("prompt-form").addEventListener("submit", event => {
    event.preventDefault();
    enter();
  });
  byId("complete").addEventListener("click", () => {
    input.focus();
    list.start();
  });
  return {
    fill: text => {
      put(text);
      input.focus();
    },
  };
}

/** True if the key was used. */
function pressed(event, { input, list, history, put, enter }) {
  const before = input.value.slice(0, input.selectionStart);
  const after = input.value.slice(input.selectionEnd);
  const step = history.step(event, input.value, before, after);
  if (step !== undefined) {
    put(step);
    return true;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey || (!event.shiftKey && !isUnfinished(input.value)))) {
    enter();
    return true;
  }
  if (event.key === " " && event.ctrlKey) {
    list.start();
    return true;
  }
  const atWord = /[\w@]$/.test(before);
  return event.key === "Tab" && !event.shiftKey && !event.ctrlKey && !event.altKey && (atWord || isInside(before)) && list.start();
}

/** Behind a blank within a statement Tab completes, too; in an empty box it moves on. */
function isInside(before) {
  return before.trim() !== "" && !/;\s*$/.test(before);
}

/** What was typed, and where in it the arrows are. */
class History {
  #lines = stored();
  #at = this.#lines.length;
  #draft = "";

  add(text) {
    if (this.#lines.at(-1) !== text) {
      this.#lines = [...this.#lines, text].slice(-HISTORY_MAX);
    }
    this.#at = this.#lines.length;
    this.#draft = "";
    tab.write(HISTORY, this.#lines.filter(line => !mayHoldSecret(line)));
  }

  /** The text to show if the key walks through the history: up in the first line of the box, down in the last. */
  step(event, text, before, after) {
    const up = event.key === "ArrowUp" && !before.includes("\n");
    const down = event.key === "ArrowDown" && !after.includes("\n");
    const to = this.#at + (up ? -1 : down ? 1 : 0);
    if (event.shiftKey || event.ctrlKey || event.altKey || to === this.#at || to < 0 || to > this.#lines.length) {
      return undefined;
    }
    if (this.#at === this.#lines.length) {
      this.#draft = text;
    }
    this.#at = to;
    return this.#lines[to] ?? this.#draft;
  }
}

function stored() {
  const lines = tab.read(HISTORY);
  return Array.isArray(lines) ? lines.filter(line => typeof line === "string").slice(-HISTORY_MAX) : [];
}
