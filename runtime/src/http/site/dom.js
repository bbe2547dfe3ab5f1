// Making and finding elements. Promises that text from anywhere becomes text, never markup: children are nodes or strings, and
// strings become text nodes. Must never know what a page is about.

/** The element with this id; every id asked for is in the page's HTML. */
export const byId = id => document.getElementById(id);

/** Makes an element. `onclick` and its like become listeners, false and undefined leave an attribute out. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) {
      continue;
    }
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children);
  return node;
}

/** Sets the text only if it differs, so that screen readers do not repeat what has not changed. */
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/**
 * Makes the children of `list` show `items`, in order. What is already there is kept (and with it focus and selection) and updated.
 * `key` names an item, `make` makes an element for it, `update` fills it in.
 */
export function reconcile(list, items, { key, make, update }) {
  const present = new Map([...list.children].map(node => [node.dataset.key, node]));
  const focused = document.activeElement;
  items.forEach((item, at) => {
    const name = String(key(item));
    let node = present.get(name);
    if (node === undefined) {
      node = make(item);
      node.dataset.key = name;
    }
    present.delete(name);
    update(node, item, items[at - 1]);
    if (list.children[at] !== node) {
      list.insertBefore(node, list.children[at] ?? null);
    }
  });
  for (const gone of present.values()) {
    gone.remove();
  }
  // What is moved loses the focus.
  if (focused !== document.activeElement && list.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

/** Up and Down, Home and End move between the buttons of a list. */
export function arrowKeys(list) {
  list.addEventListener("keydown", event => {
    const buttons = [...list.querySelectorAll("button:not([disabled])")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) {
      return;
    }
    event.preventDefault();
    buttons[to]?.focus();
  });
}

/** A clock time such as 14:05, in the manner of the reader's country. `seconds`: with seconds. */
export function clock(at, seconds = false) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined });
}

/** Copies the text of `source` when `button` is pressed, and says so for a moment. */
export function copyButton(button, source) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // No clipboard without TLS outside of this machine: the text is marked instead.
      getSelection().selectAllChildren(source);
      said = "Marked";
    }
    button.textContent = said;
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

/** The address of this server for pages and for WebSockets, with the prefix of a proxy in front (protocol.md 2.1). */
export function serverAddress() {
  const http = new URL("..", import.meta.url).href.replace(/\/$/, "");
  return { http, ws: http.replace(/^http/, "ws") };
}
