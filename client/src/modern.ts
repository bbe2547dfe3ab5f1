// The modern face: promises and types over the same client as the old face. api.ts says what it promises.
// Knows nothing of frames, tabs and sockets.

import type { Answers, LinkOptions, Status } from "./types.js";
import { CometError } from "./errors.js";
import type { Env } from "./env.js";
import type {
  Cancellable, Comet, CometOptions, ConnectionOptions, IterationOptions, Message, Presence, Report, SentReport,
} from "./api.js";
import { Client, local, toBody, type Delivery } from "./client.js";
import { Handlers } from "./handlers.js";
import { createIteration } from "./iterate.js";
import { browserUuid, chooseNodes, nodeAddresses, toText } from "./options.js";

const DEFAULT_LIMIT = 1000;
/** Listeners of states and errors have no names. */
const ALL = { signals: [""], channels: [] };

export class CometClient implements Comet {
  private readonly client: Client<Message>;
  private readonly states: Handlers<Status>;
  private readonly errors: Handlers<CometError>;
  private readonly iterations = new Set<() => void>();
  private options: CometOptions;
  private closed = false;
  private readonly unlisten: (() => void) | undefined;

  constructor(private readonly env: Env, options: CometOptions) {
    this.options = options;
    this.states = new Handlers((error) => env.report(error));
    this.errors = new Handlers((error) => env.report(error));
    this.client = new Client(env, {
      argument: toMessage,
      status: (now) => void this.states.emit([""], now),
      error: (error) => void this.errors.emit([""], error),
      report: ({ channel, event, body }, answer, error) => {
        const report = answer && toReport(answer);
        const data: SentReport = { body: JSON.parse(body) as unknown, event, report, error };
        void this.client.dispatch(local("_answer_to_" + channel, error ? "error" : "answer", data));
      },
    });
    this.unlisten = untilAborted(options.signal, () => this.close());
    // In the next turn, so that the handlers the page adds right now are there before the first private message.
    if (options.autostart !== false) queueMicrotask(() => this.start());
  }

  on<T>(name: string, handler: (message: Message<T>) => unknown, { signal }: Cancellable = {}): () => void {
    const id = this.client.subscribe(name, handler as (message: Message) => unknown);
    if (id === undefined) throw new RangeError("malformed name: " + name);
    return untilAborted(signal, () => this.client.unsubscribe(id));
  }

  messages<T>(name: string, { signal, limit = DEFAULT_LIMIT }: IterationOptions = {}): AsyncIterableIterator<Message<T>> {
    const iteration = createIteration<Message<T>>(limit, () => {
      remove();
      signal?.removeEventListener("abort", iteration.end);
      this.iterations.delete(iteration.end);
    });
    const remove = this.on<T>(name, (message) => iteration.push(message));
    this.iterations.add(iteration.end);
    if (signal?.aborted) iteration.end();
    else signal?.addEventListener("abort", iteration.end);
    return iteration.iterator;
  }

  async send(channel: string, ...rest: unknown[]): Promise<Report> {
    const [event, data] = rest.length > 1 ? [String(rest[0]), rest[1]] : [undefined, rest[0]];
    if (toBody(data) === undefined) throw new TypeError("data has no JSON");
    const command = this.client.sendCommand(channel, event, data);
    if (!command) throw new CometError("channel_refused", "pages write to web_*, webauth_* and @web_* only");
    return toReport(await this.client.send(command, (rest[2] as Cancellable | undefined)?.signal));
  }

  async history<T>(channel: string, { signal }: Cancellable = {}): Promise<Message<T>[]> {
    const messages = await this.client.history(channel, signal);
    return messages.map((message) => toMessage(message) as Message<T>);
  }

  async count(channel: string, { signal }: Cancellable = {}): Promise<number> {
    return (await this.client.request({ kind: "count", channel }, signal)).user_in_pipe;
  }

  async users(channel: string, { signal }: Cancellable = {}) {
    const visitors = await this.client.request({ kind: "users", channel }, signal);
    return visitors.map(({ user_id, uuid }) => ({ userId: user_id, uuid: toText(uuid) }));
  }

  async userData(userId: string | number, { signal }: Cancellable = {}): Promise<string> {
    const { user_data: data } = await this.client.request({ kind: "userData", user: toText(userId) }, signal);
    return typeof data === "string" ? data : "";
  }

  async status(userId: string | number, { signal }: Cancellable = {}): Promise<Presence> {
    const { data: seconds } = await this.client.request({ kind: "status", user: toText(userId) }, signal);
    return { online: seconds === 0, secondsAgo: seconds < 0 ? undefined : seconds };
  }

  get connection(): Status {
    return this.client.link.status;
  }

  get state() {
    return this.connection.state;
  }

  get authorized() {
    return this.connection.authorized;
  }

  get isMaster() {
    return this.connection.master;
  }

  onState(handler: (connection: Status) => unknown, { signal }: Cancellable = {}): () => void {
    const id = this.states.add("", ALL, handler);
    return untilAborted(signal, () => this.states.remove(id));
  }

  onError(handler: (error: CometError) => unknown, { signal }: Cancellable = {}): () => void {
    const id = this.errors.add("", ALL, handler);
    return untilAborted(signal, () => this.errors.remove(id));
  }

  start(): void {
    if (!this.closed) this.client.link.start(this.linkOptions());
  }

  restart(options: ConnectionOptions = {}): void {
    this.options = { ...this.options, ...options };
    if (!this.closed) this.client.link.restart(this.linkOptions());
  }

  stop(): void {
    this.client.link.stop();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.unlisten?.();
    this.iterations.forEach((end) => end());
    this.client.clear();
    this.stop();
    this.states.clear();
    this.errors.clear();
  }

  private linkOptions(): LinkOptions {
    const { url, userId, userKey, devId, uuid, roundrobin = false, statistics = false } = this.options;
    const { env } = this;
    const user = toText(userId);
    const browser = browserUuid(toText(uuid), env.storage, env.random);
    return {
      nodes: chooseNodes(nodeAddresses(url, env), roundrobin, user, browser),
      devId: toText(devId) || "0",
      userId: user,
      userKey: toText(userKey),
      uuid: browser,
      chosen: !!uuid,
      statistics,
    };
  }
}

function toMessage({ data, pipe, event, userId, history, fromQueue, uuid, time }: Omit<Delivery, "marker">): Message {
  return { data, channel: pipe.replace(/^_answer_to_/, "#"), event, userId, history, fromQueue, uuid, time };
}

function toReport({ number_messages, repeated }: Answers["send"]): Report {
  return { receivers: number_messages, repeated: repeated === true };
}

/** Returns `end` made callable once, by the page or by the signal. */
function untilAborted(signal: AbortSignal | undefined, end: () => void): () => void {
  const off = (): void => {
    signal?.removeEventListener("abort", off);
    end();
  };
  if (signal?.aborted) off();
  else signal?.addEventListener("abort", off);
  return off;
}
