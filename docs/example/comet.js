// A small browser client for comet-server, to read and to copy. It connects and reconnects, subscribes, and hands every
// message over once. Messages look like { pipe, event, data, user_id, history }.
class Comet {
  // server: "ws://host:8087" or "wss://host/comet-server"; user and key: from your back end, or nothing.
  constructor({ server, user = 0, key = "", tenant = 0 }) {
    this.url = `${server}/ws/sesion=${encodeURIComponent(key)}&myid=${user}&devid=${tenant}` +
      `&v=4.08&uuid=${Comet.uuid()}&api=js`;
    this.handlers = new Map();
    this.seen = new Set();
    this.pause = 300;
    this.connect();
  }

  // The same browser keeps its name: after a reload it gets what it had not acknowledged yet.
  static uuid() {
    const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, "0")).join("");
    return localStorage.comet_uuid ??= random();
  }

  // Everything that arrives on a channel; "msg" are the private messages, "sys" tells whether the key was right.
  on(channel, handler) {
    this.handlers.set(channel, handler);
    this.subscribe();
    return this;
  }

  send(channel, event, data) { this.command("web_pipe2", channel, event, "*", JSON.stringify(data)); }
  history(channel) { this.command("pipe_log", channel, "history"); }
  users(channel) { this.command("track_pipe_users", channel, "users"); }
  count(channel) { this.command("pipe_count", channel, "count"); }

  command(...lines) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(lines.join("\n"));
  }

  // Always the complete list: it replaces the one before.
  subscribe() {
    const names = [...this.handlers.keys()].filter(name => name !== "msg" && name !== "sys" && !name.startsWith("_"));
    this.command("subscription", ...names);
  }

  connect() {
    this.socket = new WebSocket(this.url);
    this.socket.onopen = () => this.subscribe();
    this.socket.onmessage = message => this.receive(JSON.parse(message.data));
    this.socket.onclose = () => {
      if (this.refused) return;
      setTimeout(() => this.connect(), this.pause);
      this.pause = Math.min(this.pause * 2, 10000);
    };
  }

  receive(frame) {
    this.pause = 300;
    this.refused = frame.error > 400;
    // A private message may come again after a broken connection, with the same uuid.
    if (frame.uuid && this.seen.has(frame.uuid)) return;
    if (frame.uuid) this.seen.add(frame.uuid);
    let data = frame.data;
    if (typeof data === "string") {
      try { data = JSON.parse(data); } catch { /* plain text */ }
    }
    this.handlers.get(frame.pipe)?.({ ...frame, data });
  }
}
