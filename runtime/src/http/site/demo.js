// The demo chat: joins who the visitor is (demo_identity.js), what there is to see (demo_chat.js, demo_view.js) and the connection
// (demo_live.js). Keys: Enter sends, Shift+Enter begins a line, Esc goes back to the list on a phone, arrows move in the lists.

import { Chat } from "./demo_chat.js";
import { door, leave } from "./demo_identity.js";
import { render } from "./demo_view.js";
import { arrowKeys, byId, copyButton } from "./dom.js";

/** "last seen 2 minutes ago" grows old by itself. */
const REFRESH_MS = 30_000;
const NARROW = matchMedia("(max-width: 46rem)");

/** demo_live.js; it comes with the client library, and the page says so if that cannot be loaded. */
let library;

/** Everything between coming in and leaving; what it adds to the page goes with `gone`. */
function start(me) {
  const gone = new AbortController();
  let live;
  const chat = new Chat(me, () => {
    if (!gone.signal.aborted) {
      render(chat, actions);
    }
  });
  const actions = {
    open: place => {
      byId("app").dataset.pane = "talk";
      chat.looking = isLooking();
      chat.open(place);
      live.read(place);
      byId(NARROW.matches ? "title" : "text").focus();
    },
    resend: (place, message) => live.resend(place, message),
    reconnect: () => live.reconnect(),
    enterAgain: () => depart(),
  };
  const depart = () => {
    gone.abort();
    live.leave();
    leave();
    byId("app").hidden = true;
    // Their buttons belong to who has left.
    ["rooms", "people", "messages"].forEach(list => byId(list).replaceChildren());
    document.title = "Chat demo";
    door(start);
  };
  live = library.goLive(me, chat);
  showSql(me);
  byId("app").hidden = false;
  render(chat, actions);
  writing(chat, live, gone.signal);
  reading(chat, live, gone.signal);
  byId("leave").addEventListener("click", depart, { signal: gone.signal });
  const timer = setInterval(() => chat.touch(), REFRESH_MS);
  gone.signal.addEventListener("abort", () => clearInterval(timer));
  if (!NARROW.matches) {
    byId("text").focus();
  }
}

/** The box where messages are written. */
function writing(chat, live, signal) {
  const box = byId("text");
  const send = () => {
    const text = box.value.trim();
    if (text === "") {
      return;
    }
    box.value = "";
    if (chat.active.kind === "room") {
      live.sayInRoom(chat.active.name, text);
    } else {
      live.sayPrivately(chat.active.id, text);
    }
    box.focus();
  };
  byId("compose").addEventListener("submit", event => {
    event.preventDefault();
    send();
  }, { signal });
  box.addEventListener("keydown", event => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  }, { signal });
  box.addEventListener("input", () => {
    if (chat.active.kind === "room" && box.value !== "") {
      live.typing(chat.active.name);
    }
  }, { signal });
}

/** The conversation is before somebody's eyes, and not the list on a phone or another tab. */
function isLooking() {
  return document.visibilityState === "visible" && !(NARROW.matches && byId("app").dataset.pane === "places");
}

/** What counts as read, and how the reader moves. */
function reading(chat, live, signal) {
  const log = byId("log");
  const showPlaces = () => {
    byId("app").dataset.pane = "places";
    look();
    document.querySelector(".place[aria-current]")?.focus();
  };
  const look = () => {
    chat.looking = isLooking();
    if (chat.looking) {
      chat.markRead(chat.active);
      live.read(chat.active);
    }
  };
  look();
  document.addEventListener("visibilitychange", look, { signal });
  NARROW.addEventListener("change", look, { signal });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape" && NARROW.matches) {
      showPlaces();
    }
  }, { signal });
  byId("back").addEventListener("click", showPlaces, { signal });
  byId("newer").addEventListener("click", () => {
    log.scrollTop = log.scrollHeight;
    byId("newer").hidden = true;
  }, { signal });
  log.addEventListener("scroll", () => {
    if (log.scrollHeight - log.scrollTop - log.clientHeight < 8) {
      byId("newer").hidden = true;
    }
  }, { signal, passive: true });
}

/** How the site's back end would say something in the first room. The demo's people live in a tenant of their own. */
function showSql(me) {
  byId("sql").textContent = `USE db_${me.dev_id};\nINSERT INTO pipes_messages\n  (name, event, message)\nVALUES ('${me.rooms[0]}', 'say',\n  '{"text": "hello from SQL"}');`;
}

copyButton(byId("copy-sql"), byId("sql"));
arrowKeys(byId("rooms"));
arrowKeys(byId("people"));
arrowKeys(byId("known-list"));
try {
  library = await import("./demo_live.js");
  door(start);
} catch (error) {
  byId("door").hidden = false;
  byId("enter-error").hidden = false;
  byId("enter-error").textContent = `The client library cannot be used: ${error.message}`;
  byId("enter-button").disabled = true;
}
