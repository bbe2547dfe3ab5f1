// Shows the chat. Reads demo_chat.js, writes the page, decides nothing. Every text of people goes in as text.

import { ago } from "./demo_talks.js";
import { samePlace } from "./demo_chat.js";
import { byId, clock, el, reconcile, setText } from "./dom.js";

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
const HUES = 8;
/** So close to the end that new messages scroll into view. */
const NEAR_END_PX = 80;

/** Names the element of a message: the first key it had, so that a new one does not make it appear again. */
const shownAs = message => message.shownAs ?? message.key;

/** web_music is shown as Music. */
export const roomTitle = name => name.replace(/^web_/, "").replace(/^./, letter => letter.toUpperCase());

const WORDS = {
  idle: "not connected", connecting: "connecting", open: "connected", waiting: "reconnecting",
  offline: "offline", refused: "refused", stopped: "not connected",
};

export function render(chat, actions) {
  renderPlaces(chat, actions);
  renderHead(chat);
  renderConnection(chat, actions);
  renderLog(chat, actions);
  renderTyping(chat);
  const unread = chat.unread();
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${placeTitle(chat, chat.active)} · chat demo`;
  byId("back-badge").hidden = unread === 0;
  setText(byId("back-badge"), String(unread));
}

function placeTitle(chat, place) {
  return place.kind === "room" ? roomTitle(place.name) : chat.name(place.id);
}

/** The circle with the first letter of a name, which the style sheet shows. */
function fillFace(node, id, name) {
  node.className = id > 0 ? `face hue-${id % HUES}` : "face";
  node.dataset.letter = ([...name.trim()][0] ?? "?").toUpperCase();
}

function renderPlaces(chat, actions) {
  const rooms = [...chat.rooms.keys()].map(name => ({ kind: "room", name }));
  reconcile(byId("rooms"), rooms, {
    key: place => place.name,
    make: place => makePlace(place, actions),
    update: (node, place) => fillPlace(node, chat, place, roomTitle(place.name), ""),
  });
  const people = [...chat.people.values()].sort((one, other) =>
    Number(other.online) - Number(one.online) || (one.online ? 0 : (other.seen ?? 0) - (one.seen ?? 0))
    || chat.name(one.id).localeCompare(chat.name(other.id)) || one.id - other.id);
  reconcile(byId("people"), people, {
    key: person => person.id,
    make: person => makePlace({ kind: "person", id: person.id }, actions),
    update: (node, person) => {
      const name = chat.name(person.id);
      fillFace(node.querySelector(".face"), person.id, name);
      node.querySelector(".dot").className = person.online ? "dot good" : "dot";
      node.firstChild.dataset.online = String(person.online);
      fillPlace(node, chat, { kind: "person", id: person.id }, name, whereabouts(person));
    },
  });
  byId("nobody").hidden = people.length > 0;
}

function whereabouts(person) {
  if (person.online) {
    return "online";
  }
  return person.seen === undefined ? "offline" : `last seen ${ago((Date.now() - person.seen) / 1000)}`;
}

function makePlace(place, actions) {
  const id = place.kind === "room" ? `room-${place.name}` : `person-${place.id}`;
  const sign = place.kind === "room" ? "#" : el("span", { class: "face" }, el("span", { class: "dot" }));
  return el("li", {}, el("button", { class: "place", type: "button", id, "data-testid": place.kind, onclick: () => actions.open(place) },
    el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("span", { class: "words" }, el("span", { class: "name" }), el("span", { class: "seen" })),
    el("span", { class: "badge" }, el("span", { class: "count" }), el("span", { class: "unseen" }, " unread"))));
}

function fillPlace(node, chat, place, name, seen) {
  const button = node.firstChild;
  const { unread } = chat.talk(place);
  setText(button.querySelector(".name"), name);
  setText(button.querySelector(".seen"), seen);
  const badge = button.querySelector(".badge");
  setText(badge.firstChild, String(unread));
  badge.hidden = unread === 0;
  button.classList.toggle("unread", unread > 0);
  button.dataset.name = name;
  if (samePlace(place, chat.active)) {
    button.setAttribute("aria-current", "true");
  } else {
    button.removeAttribute("aria-current");
  }
}

function renderHead(chat) {
  const place = chat.active;
  setText(byId("title"), placeTitle(chat, place));
  const online = [...chat.people.values()].filter(person => person.online).length;
  const person = chat.people.get(place.id);
  const everybody = online === 0 ? "you are alone here" : `you and ${online} ${online === 1 ? "other" : "others"} online`;
  const about = place.kind === "room" ? everybody : `private · ${person === undefined ? "" : whereabouts(person)}`;
  setText(byId("subtitle"), chat.status.state === "open" ? about : WORDS[chat.status.state]);
  setText(byId("my-name"), chat.me.name);
  fillFace(byId("my-face"), chat.me.id, chat.me.name);
  const label = `Message to ${placeTitle(chat, place)}`;
  byId("text").placeholder = label;
  setText(byId("text-label"), label);
}

/** What to say about the connection, and what the visitor can do. Undefined while all is well. */
function trouble({ status, troubled }) {
  const why = status.error?.message ?? "";
  if (status.state === "open") {
    return status.authorized === false
      ? { bad: true, text: "The server does not recognise you any more. Private messages cannot reach you.", button: "Enter again" }
      : undefined;
  }
  if (status.error?.code === "no_websocket") {
    return { bad: true, text: "This browser has no WebSocket or forbids it, so nothing can arrive here." };
  }
  const again = { text: `Not connected${why && ` (${why})`}; trying again. What you write is sent as soon as the connection is back.` };
  return {
    idle: undefined,
    connecting: troubled ? again : undefined,
    waiting: again,
    offline: { text: "You are offline. What you write is sent when the network is back." },
    refused: { bad: true, text: `The server refused the connection${why && `: ${why}`}.`, button: "Try again" },
    stopped: { bad: true, text: "Not connected.", button: "Connect" },
  }[status.state];
}

function renderConnection(chat, actions) {
  const { status } = chat;
  const open = status.state === "open";
  byId("link-dot").className = `dot ${open ? "good" : status.state === "refused" ? "bad" : "warn"}`;
  setText(byId("link-word"), WORDS[status.state]);
  const holder = { true: "this tab holds the connection", false: "another tab holds the connection" }[status.master];
  setText(byId("link-note"), (open && holder) || WORDS[status.state]);
  document.body.dataset.state = status.state;
  document.body.dataset.master = String(status.master);
  const wrong = trouble(chat);
  byId("banner").hidden = wrong === undefined;
  byId("banner").classList.toggle("bad", wrong?.bad === true);
  setText(byId("banner-text"), wrong?.text ?? "");
  byId("banner-button").hidden = wrong?.button === undefined;
  setText(byId("banner-button"), wrong?.button ?? "");
  byId("banner-button").onclick = open ? actions.enterAgain : actions.reconnect;
}

function renderLog(chat, actions) {
  const log = byId("log");
  const place = chat.active;
  const shown = place.kind === "room" ? place.name : `person ${place.id}`;
  const moved = log.dataset.place !== shown;
  const atEnd = moved || log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
  const { messages } = chat.talk(place);
  const last = messages.at(-1);
  const newest = last === undefined ? "" : shownAs(last);
  const grown = !moved && log.dataset.newest !== newest;
  log.dataset.place = shown;
  log.dataset.newest = newest;
  reconcile(byId("messages"), messages, {
    key: message => `${shown} ${shownAs(message)}`,
    make: message => makeMessage(grown && message === last),
    update: (node, message, previous) => fillMessage(node, chat, message, previous, () => actions.resend(place, message)),
  });
  byId("empty").hidden = messages.length > 0;
  setText(byId("empty"), place.kind === "room" ? "Nothing has been said here yet. Say hello." : "Nothing private yet. A message waits if the other one is away.");
  if (atEnd || (grown && last?.from === chat.me.id)) {
    log.scrollTop = log.scrollHeight;
    byId("newer").hidden = true;
  } else if (grown) {
    byId("newer").hidden = false;
  }
}

function makeMessage(fresh) {
  return el("li", { "data-testid": "message-item", "data-fresh": fresh ? "1" : "" },
    el("span", { class: "face", "aria-hidden": "true" }),
    el("div", { class: "content" },
      el("p", { class: "head" }, el("b"), el("time", { class: "soft" })),
      el("p", { class: "text", dir: "auto", "data-testid": "text" }),
      el("p", { class: "note", "data-testid": "note" })));
}

function fillMessage(node, chat, message, previous, again) {
  const mine = message.from === chat.me.id;
  const newDay = previous === undefined || new Date(previous.at).toDateString() !== new Date(message.at).toDateString();
  const first = newDay || previous.from !== message.from || message.at - previous.at > TOGETHER_MS;
  const marks = { message: true, mine, first, fresh: node.dataset.fresh === "1", [message.state]: true };
  node.className = Object.keys(marks).filter(mark => marks[mark]).join(" ");
  node.dataset.from = String(message.from);
  node.dataset.state = message.state;
  if (newDay) {
    node.dataset.day = new Date(message.at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  } else {
    delete node.dataset.day;
  }
  fillFace(node.querySelector(".face"), message.from, chat.name(message.from));
  setText(node.querySelector(".head b"), mine ? "You" : chat.name(message.from));
  setText(node.querySelector("time"), clock(message.at));
  setText(node.querySelector(".text"), message.text);
  fillNote(node.querySelector(".note"), chat, message, again);
}

function fillNote(note, chat, message, again) {
  const waiting = chat.status.state === "open" ? "sending …" : "waits for the connection";
  const text = { sending: waiting, failed: `not sent: ${message.note}`, sent: message.note, received: message.note }[message.state];
  if (note.firstChild?.textContent === text && note.dataset.state === message.state) {
    return;
  }
  note.dataset.state = message.state;
  note.replaceChildren(...(text === "" ? [] : [text]));
  if (message.state === "failed") {
    note.append(el("button", { class: "link", type: "button", onclick: again }, "Try again"));
  }
}

function renderTyping(chat) {
  const typing = chat.active.kind === "room" ? chat.typing.get(chat.active.name) : undefined;
  setText(byId("typing"), typing === undefined ? "" : `${chat.name(typing.id)} is typing …`);
}
