// What has been said and what was read: the conversations of the chat as plain data. A talk is a room or the private messages with
// one person. Pure: no page, no connection, no storage; time comes in. Promises that a message is in a talk once, whichever way and
// however often it comes (live, from the history, from another tab), and that histories keep the server's order.

/** Messages that a talk remembers; a channel's history has at most 99. */
export const TALK_MAX = 200;
/** Characters of a message that are shown. */
export const TEXT_MAX = 5000;

/**
 * A message:
 *   key    names it, in every tab and on every way it comes
 *   from   id of the user, 0 = nobody known
 *   text   what is shown
 *   at     unix milliseconds
 *   state  "sending" | "sent" | "failed" of one's own, "received" of others'
 *   note   what became of it: the delivery report or the error; "" if there is nothing to say
 *   waits  true while the one it is for is away
 *   shownAs  the key it had before the server named it
 */
export function newTalk() {
  return { messages: [], unread: 0 };
}

/** What a room's message says, whoever sent it: the chat's own shape, JSON of others, or text. */
export function readBody(data) {
  const shape = typeof data === "object" && data !== null ? data : {};
  const text = typeof shape.text === "string" ? shape.text : typeof data === "string" ? data : JSON.stringify(data) ?? "";
  const id = typeof shape.id === "string" && /^[\w-]{1,64}$/.test(shape.id) ? shape.id : undefined;
  return { id, text: text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)} …` : text };
}

/** A room's message as the talk keeps it. Its id counts only together with the sender, whom nobody can forge. */
export function fromChannel(incoming, me, now) {
  const { id, text } = readBody(incoming.data);
  const own = id !== undefined && incoming.userId > 0;
  const key = own ? `${incoming.userId}:${id}` : incoming.uuid ?? `${incoming.time}:${incoming.userId}:${now}:${text.slice(0, 40)}`;
  const at = incoming.time > 0 ? incoming.time * 1000 : now;
  return { key, from: incoming.userId, text, at, state: incoming.userId === me ? "sent" : "received", note: "" };
}

export function find(talk, key) {
  return talk.messages.find(message => message.key === key);
}

/** Adds at the end. False if it was there already. */
export function append(talk, message) {
  if (find(talk, message.key) !== undefined) {
    return false;
  }
  talk.messages.push(message);
  talk.messages.splice(0, talk.messages.length - TALK_MAX);
  return true;
}

/** Takes a history, oldest first. Returns the messages that are new. What the history does not know keeps its side of it. */
export function mergeHistory(talk, history) {
  const known = new Map(talk.messages.map(message => [message.key, message]));
  const inHistory = new Set(history.map(message => message.key));
  const first = talk.messages.findIndex(message => inHistory.has(message.key));
  const others = talk.messages.map((message, at) => ({ message, before: at < first })).filter(({ message }) => !inHistory.has(message.key));
  const merged = history.map(message => {
    const before = known.get(message.key);
    const note = before?.state === "failed" ? "" : before?.note ?? "";
    return before === undefined ? message : { ...before, at: message.at, state: message.state, note };
  });
  talk.messages = [
    ...others.filter(({ before }) => before).map(({ message }) => message),
    ...merged,
    ...others.filter(({ before }) => !before).map(({ message }) => message),
  ].slice(-TALK_MAX);
  return history.filter(message => !known.has(message.key));
}

/** Marks everything as read; returns the key of the newest message. */
export function markRead(talk) {
  talk.unread = 0;
  return talk.messages.at(-1)?.key;
}

/** How many messages of others came after the one with `key`. Undefined: nothing was ever read, and nothing is owed. */
export function unreadAfter(talk, key) {
  if (key === undefined) {
    return 0;
  }
  const at = talk.messages.findIndex(message => message.key === key);
  return talk.messages.slice(at + 1).filter(message => message.state === "received").length;
}

/** What stored conversations must look like to be used again; anything else in the storage is left out. */
export function restoreTalks(stored) {
  const talks = new Map();
  for (const [id, talk] of Object.entries(stored ?? {})) {
    const messages = Array.isArray(talk?.messages) ? talk.messages.filter(isMessage) : [];
    const unread = Number.isInteger(talk?.unread) && talk.unread > 0 ? talk.unread : 0;
    if (Number(id) > 0 && messages.length > 0) {
      talks.set(Number(id), { messages, unread });
    }
  }
  return talks;
}

function isMessage(value) {
  return typeof value === "object" && value !== null && typeof value.key === "string" && typeof value.text === "string"
    && Number.isInteger(value.from) && Number.isFinite(value.at) && typeof value.note === "string"
    && ["sending", "sent", "failed", "received"].includes(value.state);
}

/** Adds the messages of `stored` that `talk` lacks: another tab of this browser knew them. */
export function adopt(talk, stored) {
  const lacking = stored.messages.filter(message => find(talk, message.key) === undefined);
  if (lacking.length > 0) {
    talk.messages = [...talk.messages, ...lacking].sort((one, other) => one.at - other.at).slice(-TALK_MAX);
  }
}

/** "just now", "5 minutes ago", … */
export function ago(seconds) {
  const [count, unit] = seconds < 60 ? [0, ""] : seconds < 3600 ? [Math.floor(seconds / 60), "minute"]
    : seconds < 86_400 ? [Math.floor(seconds / 3600), "hour"] : [Math.floor(seconds / 86_400), "day"];
  return unit === "" ? "just now" : `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}
