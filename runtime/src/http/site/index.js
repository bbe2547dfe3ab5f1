// The page at /: asks the server how it is, shows the doors that are open, and listens to one channel so that both ways to push can
// be seen at once. Works without the client library too, but for the listening.

import { byId, clock, copyButton, el, serverAddress, setText } from "./dom.js";

const HEARD_MAX = 20;
const STATE_INTERVAL_MS = 10_000;
const address = serverAddress();

async function showState() {
  let look = "bad";
  let text = "The server does not answer";
  try {
    const answer = await fetch(`${address.http}/info`, { cache: "no-store" });
    const info = await answer.json();
    look = answer.ok ? "good" : "warn";
    text = answer.ok ? `Running as ${info.node}` : "Running, but its disk takes no changes";
  } catch {
    // What is shown already says it.
  }
  byId("dot").className = `dot ${look}`;
  setText(byId("state"), text);
}

async function available(page) {
  try {
    return (await fetch(`${address.http}/${page}`, { method: "HEAD" })).ok;
  } catch {
    return false;
  }
}

async function showDoors() {
  const [demo, console] = await Promise.all([available("demo"), available("console")]);
  byId("door-demo").hidden = !demo;
  byId("door-console").hidden = !console;
  byId("no-console").hidden = console;
}

function fillSnippets() {
  const js = byId("js");
  js.textContent = js.textContent.replace("HTTP_ADDRESS", address.http);
  byId("classic").textContent = `<script src="${address.http}/CometServerApi.js"></script>`;
  copyButton(byId("copy-sql"), byId("sql"));
  copyButton(byId("copy-js"), js);
}

function hear(text) {
  const list = byId("heard");
  list.prepend(el("li", {}, text, " ", el("small", { class: "soft" }, clock(Date.now(), true))));
  while (list.children.length > HEARD_MAX) {
    list.lastChild.remove();
  }
}

/** People read `text`, or else all of it. */
function readable(data) {
  if (typeof data === "object" && data !== null && typeof data.text === "string") {
    return data.text;
  }
  return typeof data === "string" ? data : JSON.stringify(data);
}

async function listen() {
  const say = text => setText(byId("listening"), text);
  let library;
  try {
    library = await import(`${address.http}/comet-client.js`);
  } catch {
    byId("hello").disabled = true;
    say("The client library could not be loaded.");
    return;
  }
  const comet = library.createComet({ url: address.ws });
  const connected = "Connected. Run the SQL above, or press the button in another window.";
  comet.onState(status => say(status.state === "open" ? connected : "Not connected, trying again …"));
  comet.on("web_hello", message => hear(readable(message.data)));
  byId("hello").addEventListener("click", async () => {
    try {
      const report = await comet.send("web_hello", "greeting", { text: "hello from a page" });
      hear(`You said hello; it reached ${report.receivers} other ${report.receivers === 1 ? "page" : "pages"}.`);
    } catch (error) {
      hear(`Not sent: ${error.message}`);
    }
  });
}

fillSnippets();
showState();
setInterval(showState, STATE_INTERVAL_MS);
showDoors();
listen();
