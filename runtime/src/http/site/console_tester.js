// The subscription tester: one connection of its own beside the console, everything that arrives as it arrived. For trying out keys,
// channels and handlers before a page exists.

import { byId, clock, el, reconcile, serverAddress, setText } from "./dom.js";

const SHOWN_MAX = 300;
const WORDS = {
  idle: "not connected", connecting: "connecting …", open: "connected", waiting: "not connected, trying again …",
  offline: "offline", refused: "refused", stopped: "not connected",
};

/** The connection, or undefined; what each subscribed channel is removed with. */
let comet;
const subscribed = new Map();

/** A line of the log: a word for what it is, the value as JSON. */
function note(kind, title, value) {
  const list = byId("arrivals");
  const text = value === undefined ? "" : JSON.stringify(value, null, 2);
  const head = el("div", { class: "arrival-head" }, el("b", {}, title), el("span", { class: "soft small" }, clock(Date.now(), true)));
  list.prepend(el("li", { class: `arrival ${kind}`, "data-testid": "arrival", "data-kind": kind }, head, ...(text === "" ? [] : [el("pre", {}, text)])));
  while (list.children.length > SHOWN_MAX) {
    list.lastChild.remove();
  }
  byId("no-arrivals").hidden = true;
}

function received(message) {
  const origin = [message.fromQueue && "from the queue", message.history && "history"].filter(Boolean).map(word => ` · ${word}`).join("");
  note("message", `${message.channel}${message.event && `.${message.event}`}${origin}`, message);
}

async function connect() {
  const { createComet } = await import("../comet-client.js");
  comet?.close();
  subscribed.clear();
  const options = { userId: byId("test-user").value.trim(), userKey: byId("test-key").value, devId: byId("test-dev").value.trim() || "0" };
  comet = createComet({ url: serverAddress().ws, shared: false, ...options });
  const mine = comet;
  comet.onState(status => mine === comet && showState(status));
  comet.onError(error => note("failed", `${error.code}: ${error.message}`));
  comet.on("msg", received);
  showState(comet.connection);
  subscribeTyped();
}

function disconnect() {
  comet?.close();
  comet = undefined;
  subscribed.clear();
  showState({ state: "stopped" });
}

function showState(status) {
  const who = { true: " · authorized", false: " · anonymous" }[status.authorized] ?? "";
  const why = status.error === undefined || status.state === "open" ? "" : `: ${status.error.message}`;
  setText(byId("test-state"), WORDS[status.state] + (status.state === "open" ? who : why));
  byId("test-dot").className = `dot ${status.state === "open" ? "good" : status.state === "refused" ? "bad" : comet === undefined ? "" : "warn"}`;
  byId("test-connect").hidden = comet !== undefined;
  byId("test-disconnect").hidden = comet === undefined;
  byId("test-who").disabled = comet !== undefined;
  for (const id of ["test-subscribe", "test-send", "test-ask"]) {
    byId(id).disabled = comet === undefined;
  }
  showChannels();
}

const namesIn = text => text.split(/[\s,]+/).filter(name => name !== "");

/** What stands in the box of channels. */
function subscribeTyped() {
  namesIn(byId("test-channels").value).forEach(subscribe);
  byId("test-channels").value = "";
}

function subscribe(name) {
  if (comet === undefined || subscribed.has(name)) {
    return;
  }
  try {
    subscribed.set(name, comet.on(name, received));
  } catch (error) {
    note("failed", error.message);
  }
  showChannels();
}

function showChannels() {
  reconcile(byId("test-subscribed"), [...subscribed.keys()], {
    key: name => name,
    make: name => el("li", {}, el("button", { class: "button small", type: "button", "aria-label": `Unsubscribe ${name}`, onclick: () => {
      subscribed.get(name)?.();
      subscribed.delete(name);
      showChannels();
    } }, name, el("span", { "aria-hidden": "true" }, "×"))),
    update: () => undefined,
  });
}

/** JSON if it is JSON, else the text. */
function bodyOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function send() {
  const channel = byId("send-channel").value.trim();
  const event = byId("send-event").value.trim();
  await attempt(`sent to ${channel}${event && `.${event}`}`, () => comet.send(channel, event, bodyOf(byId("send-body").value)));
}

async function ask() {
  const what = byId("ask-what").value;
  const about = byId("ask-about").value.trim();
  await attempt(`${what} of ${about}`, () => comet[what](about));
}

/** Notes what a request came to. */
async function attempt(title, request) {
  try {
    note("answer", title, await request());
  } catch (error) {
    note("failed", `${title}: ${error.code ?? error.name}: ${error.message}`);
  }
}

/** Joins the tester to the page. */
export function startTester() {
  const forms = { "test-form": connect, "send-form": send, "ask-form": ask };
  for (const [id, action] of Object.entries(forms)) {
    byId(id).addEventListener("submit", event => {
      event.preventDefault();
      action().catch(error => note("failed", `The client library cannot be used: ${error.message}`));
    });
  }
  byId("channels-form").addEventListener("submit", event => {
    event.preventDefault();
    subscribeTyped();
  });
  byId("test-disconnect").addEventListener("click", disconnect);
  byId("test-clear").addEventListener("click", () => {
    byId("arrivals").replaceChildren();
    byId("no-arrivals").hidden = false;
  });
  showState({ state: "idle" });
}
