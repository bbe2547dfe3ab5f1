// A server in memory that speaks version 5 (docs/protocol-v5.md) to a WebSocket class of its own, for tests that run
// the whole client. Knows one tenant, keeps histories and queues, checks nothing it is not asked to.

interface Fields {
  readonly pipe: string;
  readonly event: string;
  readonly data: unknown;
  readonly [key: string]: unknown;
}

interface User {
  key: string;
  data: string;
  /** Private messages not acknowledged yet. */
  readonly owed: Fields[];
}

export class FakeServer {
  readonly sockets = new Set<FakeSocket>();
  readonly users = new Map<number, User>();
  readonly histories = new Map<string, Fields[]>();
  private messages = 0;

  /** To put in the place of the browser's. */
  readonly WebSocket: new (url: string) => FakeSocket;

  constructor() {
    const accept = (socket: FakeSocket): void => this.accept(socket);
    this.WebSocket = class extends FakeSocket {
      constructor(url: string) {
        super(url);
        queueMicrotask(() => accept(this));
      }
    };
  }

  user(id: number, key: string, data = ""): User {
    const user = this.users.get(id) ?? { key, data, owed: [] };
    this.users.set(id, user);
    return user;
  }

  keepHistory(channel: string): void {
    this.histories.set(channel, []);
  }

  /** The back end's INSERT INTO users_messages and INSERT INTO pipes_messages. */
  sendPrivate(id: number, event: string, data: unknown): void {
    const message = { ...this.message("msg", event, data), uuid: this.uuid() };
    this.user(id, "").owed.push(message);
    for (const socket of this.sockets) if (socket.user === id) socket.give(message);
  }

  publish(channel: string, event: string, data: unknown): void {
    this.spread(undefined, { ...this.message(channel, event, data), uuid: this.uuid() });
  }

  /** All connections end, as when the server restarts. */
  drop(): void {
    for (const socket of [...this.sockets]) this.leave(socket);
  }

  private accept(socket: FakeSocket): void {
    if (socket.ended) return;
    const [, key = "", id = ""] = /sesion=([^&]*)&myid=(\d*)/.exec(socket.url) ?? [];
    const user = this.users.get(Number(id));
    const authorized = user !== undefined && user.key === decodeURIComponent(key);
    socket.user = authorized ? Number(id) : 0;
    this.sockets.add(socket);
    socket.serve = (text) => this.serve(socket, text);
    socket.gone = () => this.leave(socket);
    socket.give({ pipe: "sys", event: "serverInfo", server: "fake 1.0", authorized, data: authorized ? key : "", protocol: 5 });
    for (const message of authorized ? user.owed : []) socket.give({ ...message, fromQueue: true });
  }

  private leave(socket: FakeSocket): void {
    this.sockets.delete(socket);
    for (const name of socket.channels) this.track(socket, name, "unsubscription");
    socket.end();
  }

  private serve(socket: FakeSocket, text: string): void {
    const [head = "", ...lines] = text.split("\n");
    const [word = "", number] = head.split(" ");
    const answer = (pipe: string, event: string, data: unknown, more = {}): void => {
      if (number !== undefined) socket.give({ ...this.message(pipe, event, data), ...more, re: Number(number) });
    };
    const refuse = (code: string): void => answer("sys", "error", { error: code, code });
    const [name = ""] = lines;
    switch (word) {
      case "subscription":
      case "subscribe":
      case "unsubscribe":
        return answer("_answer", "subscription", this.subscribe(socket, word, lines));
      case "web_pipe2":
        return this.send(socket, lines, answer, refuse);
      case "pipe_log":
        for (const old of this.histories.get(name) ?? []) answer(old.pipe, old.event, old.data, { ...old, history: true });
        return answer("_answer", "pipe_log", { messages: this.histories.get(name)?.length ?? 0 });
      case "pipe_count":
        if (!/^(web|track)_/.test(name)) return refuse("channel_refused");
        return answer("_answer_pipe_count", "user_in_pipe", { user_in_pipe: this.members(name).length });
      case "track_pipe_users":
        return answer("_answer", "answer", this.members(name).map(visitor));
      case "user_data": {
        const id = Number(lines[1]);
        return answer("_answer", "answer", { user_id: id, user_data: this.users.get(id)?.data ?? "" });
      }
      case "user_status": {
        const seconds = [...this.sockets].some(({ user }) => user === Number(name)) ? 0 : -1;
        return answer("_answer_user_status", "user_status_" + name, { data: seconds, last_online_time: seconds });
      }
      case "ack": {
        const owed = this.users.get(socket.user)?.owed ?? [];
        owed.splice(0, owed.findIndex(({ uuid }) => uuid === name) + 1);
        return answer("_answer", "ack", {});
      }
      case "statistics":
        return answer("_answer", "statistics", {});
      default:
        return refuse("unknown_command");
    }
  }

  private subscribe(socket: FakeSocket, word: string, lines: readonly string[]): unknown {
    const wanted = word === "subscription" ? new Set(lines) : new Set(socket.channels);
    for (const line of lines) if (line === "" || word === "unsubscribe") wanted.delete(line); else wanted.add(line);
    const before = socket.channels;
    for (const name of before) if (!wanted.has(name)) this.track(socket, name, "unsubscription");
    socket.channels = wanted;
    for (const name of wanted) if (!before.has(name)) this.track(socket, name, "subscription");
    return { channels: wanted.size, refused: [] };
  }

  private send(
    socket: FakeSocket, [name = "", event = "", , ...body]: readonly string[],
    answer: (pipe: string, event: string, data: unknown) => void, refuse: (code: string) => void,
  ): void {
    const channel = name.replace(/^@/, "");
    if (!/^web(auth)?_/.test(channel)) return refuse("channel_refused");
    if (channel.startsWith("webauth_") && socket.user === 0) return refuse("not_authorized");
    const userId = name.startsWith("@") ? 0 : socket.user;
    const data: unknown = JSON.parse(body.join("\n"));
    const receivers = this.spread(socket, { ...this.message(channel, event, data), user_id: userId, uuid: this.uuid() });
    answer("_answer_to_" + channel, "answer", { number_messages: receivers, error: "" });
  }

  private spread(sender: FakeSocket | undefined, message: Fields): number {
    this.histories.get(message.pipe)?.push(message);
    const others = this.members(message.pipe).filter((socket) => socket !== sender);
    for (const socket of others) socket.give(message);
    return others.length;
  }

  private track(who: FakeSocket, name: string, event: string): void {
    if (!name.startsWith("track_")) return;
    for (const socket of this.members(name)) if (socket !== who) socket.give(this.message(name, event, visitor(who)));
  }

  private members(name: string): FakeSocket[] {
    return [...this.sockets].filter(({ channels }) => channels.has(name));
  }

  private message(pipe: string, event: string, data: unknown): Fields {
    return { pipe, event, data, message_send_time: 1_700_000_000 };
  }

  private uuid(): string {
    this.messages += 1;
    return "00000000-0000-1000-8000-" + String(this.messages).padStart(12, "0");
  }
}

function visitor({ user, url }: FakeSocket): unknown {
  return { user_id: user, uuid: /&uuid=([^&]*)/.exec(url)?.[1] ?? "" };
}

/** As much of a WebSocket as a client can see. */
export class FakeSocket {
  onopen: ((event: object) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: ((event: object) => void) | null = null;
  onclose: ((event: object) => void) | null = null;
  readyState = 0;
  user = 0;
  channels = new Set<string>();
  ended = false;
  serve: (text: string) => void = () => undefined;
  gone: () => void = () => undefined;

  constructor(readonly url: string) {}

  send(text: string): void {
    queueMicrotask(() => this.serve(text));
  }

  close(): void {
    this.gone();
  }

  give(frame: Fields): void {
    this.readyState = 1;
    queueMicrotask(() => {
      if (!this.ended) this.onmessage?.({ data: JSON.stringify(frame) });
    });
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.({ wasClean: false, code: 1006 }));
  }
}
