// Joins the chat to the server: the modern face of the client library on one side, demo_chat.js on the other. Everything a page of
// one's own would do is in here: subscribe, send, ask for the history, watch who comes and goes.
// Never throws: what goes wrong becomes a note under a message or the state of the connection.

import { createComet } from "../comet-client.js";
import { callDemo } from "./demo_identity.js";
import { fromChannel, readBody } from "./demo_talks.js";
import { serverAddress } from "./dom.js";

/** Everybody on this page is subscribed to it, so the server announces who comes and who goes. */
const PRESENCE = "track_demo";
/** Has no history: nobody needs to know who typed yesterday. */
const TYPING = "web_demo_typing";
const TYPING_EVERY_MS = 2500;
const TYPING_SHOWN_MS = 4000;

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const newId = () => crypto.getRandomValues(new Uint32Array(3)).reduce((text, part) => text + part.toString(36), "");

/** Connects. Returns what the page can do. */
export function goLive(me, chat) {
  const comet = createComet({ url: serverAddress().ws, userId: me.user_id, userKey: me.user_key, devId: me.dev_id });
  const live = { comet, chat, me, watched: new Set(), siblings: siblingTabs(me, chat), typedAt: 0, posting: Promise.resolve() };
  listen(live);
  const show = status => {
    const opened = status.state === "open" && chat.status.state !== "open";
    chat.status = status;
    chat.troubled = status.state !== "open" && (chat.troubled || ["waiting", "offline", "refused"].includes(status.state));
    chat.touch();
    if (opened) {
      refresh(live);
    }
  };
  comet.onState(show);
  show(comet.connection);
  return {
    sayInRoom: (room, text) => sayInRoom(live, room, text),
    sayPrivately: (id, text) => sayPrivately(live, id, text),
    resend: (place, message) => resend(live, place, message),
    typing: room => tellTyping(live, room),
    read: place => live.siblings?.postMessage(place),
    reconnect: () => comet.restart(),
    leave: () => {
      live.siblings?.close();
      comet.close();
    },
  };
}

function listen(live) {
  const { comet, chat, me } = live;
  for (const room of me.rooms) {
    comet.on(room, message => {
      chat.add({ kind: "room", name: room }, fromChannel(message, chat.me.id, Date.now()));
      watch(live, message.userId);
    });
  }
  comet.on("msg.private", message => receivePrivately(live, message));
  comet.on("msg.sent", message => {
    const to = Number(message.data?.to?.id ?? message.data?.to);
    if (to > 0) {
      watch(live, to, message.data.to?.name);
      chat.sentPrivately(to, privateMessage(message, chat.me.id, "sent"));
    }
  });
  comet.on(PRESENCE, message => {
    const id = Number(message.data?.user_id);
    if (message.event === "subscription" && id > 0) {
      watch(live, id);
      chat.meet(id, { online: true });
    }
  });
  comet.on(`${TYPING}.typing`, message => showTyping(chat, message));
}

/** After every (re)connection: what happened meanwhile. */
async function refresh(live) {
  const { comet, chat, me } = live;
  const quietly = promise => promise.catch(() => undefined);
  for (const room of me.rooms) {
    quietly(comet.history(room).then(messages => {
      messages.forEach(message => watch(live, message.userId));
      chat.takeHistory(room, messages.map(message => fromChannel(message, chat.me.id, Date.now())));
    }));
  }
  for (const id of [...chat.people.keys()]) {
    if (live.watched.has(id)) {
      quietly(askStatus(live, id));
    } else {
      watch(live, id);
    }
  }
  const visitors = await quietly(comet.users(PRESENCE)) ?? [];
  for (const id of new Set(visitors.map(visitor => visitor.userId))) {
    watch(live, id);
    chat.meet(id, { online: true });
  }
}

async function askStatus({ comet, chat }, id) {
  const { online, secondsAgo } = await comet.status(id);
  chat.meet(id, online || secondsAgo === undefined ? { online } : { online, seen: Date.now() - secondsAgo * 1000 });
}

/** Keeps an eye on a person: name, online or not. */
function watch(live, id, name) {
  const { comet, chat, watched } = live;
  if (chat.person(id) === undefined || watched.has(id)) {
    return;
  }
  watched.add(id);
  if (typeof name === "string" && name !== "") {
    chat.meet(id, { name });
  }
  comet.on(`user_status_${id}`, message => {
    const online = message.event === "online";
    chat.meet(id, online ? { online } : { online, seen: Date.now() });
  });
  comet.userData(id).then(data => chat.meet(id, { name: nameIn(data) || chat.person(id).name })).catch(() => undefined);
  askStatus(live, id).catch(() => undefined);
}

/** The public text of a user is {"name": …} here; sites may keep anything in it. */
function nameIn(data) {
  try {
    const value = typeof data === "string" ? JSON.parse(data) : data;
    return typeof value?.name === "string" ? value.name : "";
  } catch {
    return data;
  }
}

function sayInRoom(live, room, text) {
  const { chat } = live;
  const id = newId();
  const message = { key: `${chat.me.id}:${id}`, from: chat.me.id, text, at: Date.now(), state: "sending", note: "" };
  chat.add({ kind: "room", name: room }, message);
  live.typedAt = 0;
  return deliverToRoom(live, room, message);
}

async function deliverToRoom(live, room, message) {
  const { comet, chat } = live;
  const place = { kind: "room", name: room };
  const id = message.key.slice(message.key.indexOf(":") + 1);
  try {
    const report = await comet.send(room, "say", { id, text: message.text });
    const note = report.receivers > 0 ? `seen by ${plural(report.receivers, "connection")}` : "nobody else is connected";
    chat.settle(place, message.key, "sent", note);
  } catch (error) {
    chat.settle(place, message.key, "failed", error.message);
  }
}

function sayPrivately(live, to, text) {
  const { chat } = live;
  const message = { key: chat.newPrivateKey(newId()), from: chat.me.id, text, at: Date.now(), state: "sending", note: "" };
  chat.add({ kind: "person", id: to }, message);
  return deliverPrivately(live, to, message);
}

/** One after another: two requests at once may arrive in any order. */
function deliverPrivately(live, to, message) {
  live.posting = live.posting.then(() => postPrivately(live, to, message));
  return live.posting;
}

async function postPrivately({ me, chat }, to, message) {
  const place = { kind: "person", id: to };
  try {
    const answer = await callDemo({ action: "private", user_id: me.user_id, user_key: me.user_key, to, text: message.text });
    const waits = answer.delivered === 0;
    const note = waits ? `waits until ${chat.name(to)} comes back` : `delivered to ${plural(answer.delivered, "connection")}`;
    chat.settle(place, message.key, "sent", note, waits);
  } catch (error) {
    chat.settle(place, message.key, "failed", error.message);
  }
}

function resend(live, place, message) {
  Object.assign(message, { state: "sending", note: "" });
  live.chat.touch();
  return place.kind === "room" ? deliverToRoom(live, place.name, message) : deliverPrivately(live, place.id, message);
}

function privateMessage(message, from, state) {
  const at = message.time > 0 ? message.time * 1000 : Date.now();
  return { key: message.uuid ?? newId(), from, text: readBody(message.data).text, at, state, note: "" };
}

/** The library tells the server that the message was handled when this is done; by then it is stored. */
function receivePrivately(live, message) {
  const from = Number(message.data?.from?.id);
  if (!(from > 0)) {
    return;
  }
  watch(live, from, message.data.from.name);
  const waited = message.fromQueue ? "waited for you" : "";
  live.chat.add({ kind: "person", id: from }, { ...privateMessage(message, from, "received"), note: waited });
}

function tellTyping(live, room) {
  const now = Date.now();
  if (live.chat.status.state !== "open" || now - live.typedAt < TYPING_EVERY_MS) {
    return;
  }
  live.typedAt = now;
  live.comet.send(TYPING, "typing", { room }).catch(() => undefined);
}

function showTyping(chat, message) {
  const room = message.data?.room;
  if (!chat.rooms.has(room) || !(message.userId > 0) || message.userId === chat.me.id) {
    return;
  }
  const until = Date.now() + TYPING_SHOWN_MS;
  chat.typing.set(room, { id: message.userId, until });
  chat.touch();
  setTimeout(() => {
    if (chat.typing.get(room)?.until <= Date.now()) {
      chat.typing.delete(room);
      chat.touch();
    }
  }, TYPING_SHOWN_MS + 50);
}

/** Other tabs of the same person: they learn what was read here. Undefined where there is no such channel. */
function siblingTabs(me, chat) {
  try {
    const channel = new BroadcastChannel(`comet_demo_${me.user_id}`);
    channel.onmessage = ({ data }) => {
      if (data?.kind === "person" || chat.rooms.has(data?.name)) {
        chat.markRead(data);
      }
    };
    return channel;
  } catch {
    return undefined;
  }
}
