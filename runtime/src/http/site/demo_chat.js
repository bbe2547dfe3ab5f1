// The chat as one visitor sees it: rooms, people, private talks, what is open and what is unread. Keeps in localStorage what a reload
// must not lose: people once met, private talks (the server forgets them once they have arrived), how far rooms were read.
// Knows nothing of connections (demo_live.js) and of the page (demo_view.js); `changed` is called when there is something to show.

import { adopt, append, find, markRead, mergeHistory, newTalk, restoreTalks, unreadAfter } from "./demo_talks.js";
import { box } from "./storage.js";

/** Everybody met is watched with a channel of his own, and the server allows 256 per connection. */
const PEOPLE_MAX = 100;
const NAME_MAX = 64;
/** Keys of one's own private messages until the server has named them. */
const UNNAMED = "own:";

/** Places: { kind: "room", name } or { kind: "person", id }. */
export const samePlace = (one, other) => one.kind === other.kind && one.name === other.name && one.id === other.id;

export class Chat {
  #store = box("localStorage");
  #changed;
  #told = false;
  #read;

  constructor(me, changed) {
    this.#changed = changed;
    this.me = { id: Number(me.user_id), name: me.name };
    this.rooms = new Map(me.rooms.map(name => [name, newTalk()]));
    this.talks = restoreTalks(this.#store.read(this.#key("talks")));
    this.people = this.#restorePeople();
    this.#read = this.#store.read(this.#key("read")) ?? {};
    this.active = { kind: "room", name: me.rooms[0] };
    /** The page is visible. */
    this.looking = true;
    this.status = { state: "connecting" };
    /** The connection failed, and is not back yet. */
    this.troubled = false;
    /** Room -> who types there. */
    this.typing = new Map();
  }

  #key(what) {
    return `comet_demo_${what}_${this.me.id}`;
  }

  /** Something is different; the page is told once per turn. */
  touch() {
    if (this.#told) {
      return;
    }
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      this.#changed();
    });
  }

  talk(place) {
    if (place.kind === "room") {
      return this.rooms.get(place.name);
    }
    if (!this.talks.has(place.id)) {
      this.talks.set(place.id, newTalk());
    }
    return this.talks.get(place.id);
  }

  /** Shows a place and counts it as read. */
  open(place) {
    this.active = place;
    this.markRead(place);
  }

  markRead(place) {
    const newest = markRead(this.talk(place));
    if (place.kind === "person") {
      this.#saveTalks();
    } else {
      this.#read[place.name] = newest ?? "";
      this.#store.write(this.#key("read"), this.#read);
    }
    this.touch();
  }

  unread() {
    return [...this.rooms.values(), ...this.talks.values()].reduce((sum, talk) => sum + talk.unread, 0);
  }

  /** A message, live or sent from this page. False if it was known. */
  add(place, message) {
    const talk = this.talk(place);
    if (!append(talk, message)) {
      return false;
    }
    if (this.looking && samePlace(place, this.active)) {
      this.markRead(place);
    } else if (message.state === "received") {
      talk.unread += 1;
    }
    if (this.typing.get(place.name)?.id === message.from) {
      this.typing.delete(place.name);
    }
    if (place.kind === "person") {
      this.#saveTalks();
    }
    this.touch();
    return true;
  }

  /** What became of a message that was sent. `waits`: the other one is away. */
  settle(place, key, state, note, waits = false) {
    const message = find(this.talk(place), key);
    if (message !== undefined) {
      Object.assign(message, { state, note, waits });
      if (place.kind === "person") {
        this.#saveTalks();
      }
      this.touch();
    }
  }

  takeHistory(room, messages) {
    const talk = this.rooms.get(room);
    mergeHistory(talk, messages);
    talk.unread = unreadAfter(talk, this.#read[room]);
    if (this.#read[room] === undefined || (this.looking && samePlace(this.active, { kind: "room", name: room }))) {
      this.markRead({ kind: "room", name: room });
    }
    this.touch();
  }

  /** The server's copy of a private message of one's own: it names the one on the page, or comes from another device. */
  sentPrivately(to, message) {
    const talk = this.talk({ kind: "person", id: to });
    if (find(talk, message.key) !== undefined) {
      return;
    }
    const mine = talk.messages.find(other => other.key.startsWith(UNNAMED) && other.state !== "failed" && other.text === message.text);
    if (mine === undefined) {
      this.add({ kind: "person", id: to }, message);
      return;
    }
    Object.assign(mine, { key: message.key, shownAs: mine.key, at: message.at });
    this.#saveTalks();
    this.touch();
  }

  newPrivateKey(random) {
    return UNNAMED + random;
  }

  /** Somebody: met before, or from now on. Undefined for oneself, nobody, and when there are too many. */
  person(id) {
    if (id === this.me.id || !(id > 0)) {
      return undefined;
    }
    if (!this.people.has(id) && this.people.size < PEOPLE_MAX) {
      this.people.set(id, { id, name: "", online: false, seen: undefined });
      this.touch();
    }
    return this.people.get(id);
  }

  /** `about`: any of name, online, seen (unix milliseconds of going offline). */
  meet(id, about) {
    const person = this.person(id);
    if (person === undefined) {
      return;
    }
    Object.assign(person, about);
    person.name = person.name.slice(0, NAME_MAX);
    const waiting = about.online ? this.talks.get(id)?.messages.filter(message => message.waits) ?? [] : [];
    if (waiting.length > 0) {
      waiting.forEach(message => Object.assign(message, { waits: false, note: `sent when ${this.name(id)} came back` }));
      this.#saveTalks();
    }
    const people = [...this.people.values()].map(({ id, name, seen }) => ({ id, name, seen }));
    this.#store.write(this.#key("people"), people);
    this.touch();
  }

  /** The name to show for a user id. */
  name(id) {
    if (id === this.me.id) {
      return this.me.name;
    }
    return id > 0 ? this.people.get(id)?.name || `user ${id}` : "Back end";
  }

  #restorePeople() {
    const stored = this.#store.read(this.#key("people"));
    const usable = (Array.isArray(stored) ? stored : []).filter(one => Number.isInteger(one?.id) && one.id > 0 && typeof one.name === "string");
    const people = new Map(usable.slice(0, PEOPLE_MAX).map(({ id, name, seen }) => [id, { id, name, online: false, seen: Number(seen) || undefined }]));
    for (const id of this.talks.keys()) {
      if (!people.has(id)) {
        people.set(id, { id, name: "", online: false, seen: undefined });
      }
    }
    return people;
  }

  /** Other tabs of this person may have written meanwhile: nothing of theirs is lost. */
  #saveTalks() {
    for (const [id, stored] of restoreTalks(this.#store.read(this.#key("talks")))) {
      adopt(this.talk({ kind: "person", id }), stored);
    }
    const named = [...this.talks].map(([id, { messages, unread }]) =>
      [id, { unread, messages: messages.filter(message => !message.key.startsWith(UNNAMED)) }]);
    this.#store.write(this.#key("talks"), Object.fromEntries(named));
  }
}
