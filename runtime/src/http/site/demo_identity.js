// Who the visitor is: asks the server for an identity, keeps it, offers those this browser knows. This tab's own is in
// sessionStorage, so that two windows of one browser can be two people; all are in localStorage, so that people can come back.
// These keys open nothing but this demo. A real site's back end does what /demo/api does here.

import { byId, el, serverAddress } from "./dom.js";
import { box } from "./storage.js";

const ME = "comet_demo_me";
const KNOWN = "comet_demo_identities";
const KNOWN_MAX = 8;

const tab = box("sessionStorage");
const browser = box("localStorage");

/** What the server said no to, with its own words. `status` is 0 if it did not answer. */
export class DemoError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** One call of the demo's back end. */
export async function callDemo(request) {
  let answer;
  try {
    const body = JSON.stringify(request);
    answer = await fetch(`${serverAddress().http}/demo/api`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  } catch {
    throw new DemoError(0, "The server does not answer. Is it running?");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new DemoError(answer.status, typeof content?.error === "string" ? content.error : `The server answered ${answer.status}.`);
  }
  return content;
}

function isIdentity(value) {
  return Number(value?.user_id) > 0 && typeof value.user_key === "string" && typeof value.name === "string";
}

function known() {
  const list = browser.read(KNOWN);
  return Array.isArray(list) ? list.filter(isIdentity) : [];
}

function remember(me) {
  const { user_id, user_key, name } = me;
  tab.write(ME, { user_id, user_key, name });
  const others = known().filter(other => other.user_id !== user_id);
  browser.write(KNOWN, [{ user_id, user_key, name }, ...others].slice(0, KNOWN_MAX));
}

function forget(userId) {
  browser.write(KNOWN, known().filter(other => other.user_id !== userId));
}

/** This tab becomes nobody; the browser still knows who was here. */
export function leave() {
  tab.remove(ME);
}

async function comeBack(identity) {
  const { user_id, user_key } = identity;
  try {
    return await callDemo({ action: "return", user_id, user_key });
  } catch (error) {
    if (error.status === 403) {
      forget(user_id);
      leave();
      throw new DemoError(403, `The server does not know ${identity.name} any more. Enter anew.`);
    }
    throw error;
  }
}

/** Shows the door until somebody has come in; `entered` gets who it is. A reload of a tab needs no door. */
export function door(entered) {
  const come = async asking => {
    byId("enter-error").hidden = true;
    byId("enter-button").disabled = true;
    try {
      const me = await asking();
      if (!isIdentity(me) || !Array.isArray(me.rooms)) {
        throw new DemoError(0, "The server gave an answer this page does not understand.");
      }
      remember(me);
      byId("door").hidden = true;
      byId("name").value = "";
      entered(me);
    } catch (error) {
      byId("enter-error").textContent = error.message;
      byId("enter-error").hidden = false;
      showDoor(come);
    } finally {
      byId("enter-button").disabled = false;
    }
  };
  byId("enter-form").onsubmit = event => {
    event.preventDefault();
    const name = byId("name").value.trim();
    if (name !== "") {
      come(() => callDemo({ action: "enter", name }));
    }
  };
  const mine = tab.read(ME);
  return isIdentity(mine) ? come(() => comeBack(mine)) : showDoor(come);
}

function showDoor(come) {
  byId("door").hidden = false;
  const identities = known();
  byId("known").hidden = identities.length === 0;
  byId("known-list").replaceChildren(...identities.map(identity => el("li", {},
    el("button", { class: "button", type: "button", "data-testid": "come-back", "data-name": identity.name, onclick: () => come(() => comeBack(identity)) },
      `Come back as ${identity.name}`),
    el("button", { class: "link small", type: "button", "aria-label": `Forget ${identity.name}`, onclick: () => {
      forget(identity.user_id);
      showDoor(come);
    } }, "forget"))));
  byId("name").focus();
}
