// The old face: `cometApi`, call-compatible with protocol.md 9, so that an existing page only swaps the file.
//
// Promises: what 9.1 to 9.4 say and 9.6 mends. No call throws at the page, whatever it is given; everything called
// before `start` waits for it. What the server says is data: nothing of it is ever evaluated as code.
// Knows nothing of frames and tabs: it makes the pseudo-channels old pages listen to out of the link's answers.

import type { Answers, Command, LinkOptions, Status } from "./types.js";
import { attempt } from "./attempt.js";
import type { CometError } from "./errors.js";
import type { Env } from "./env.js";
import { Client, local, toBody, type Delivery, type Face, type SendCommand } from "./client.js";
import { browserUuid, chooseNodes, nodeAddresses, toText } from "./options.js";
import { objection } from "./wire.js";

/** What handlers get (protocol.md 9.3; S48). */
export interface LegacyMessage {
  readonly data: unknown;
  readonly server_info: {
    /** 0: the back end, nobody in particular, or hidden (S51). */
    readonly user_id: number;
    readonly pipe: string;
    /** undefined: the sender gave none (S49). */
    readonly event: string | undefined;
    /** Live messages have neither history nor marker (S50, S52, S56). */
    readonly history: boolean;
    readonly marker: string | undefined;
    readonly uuid: string | undefined;
  };
}

export type LegacyHandler = (message: LegacyMessage) => unknown;

/** protocol.md 9.2. All of them are optional (S23), numbers may be texts (S6). */
export interface LegacyOptions {
  dev_id?: string | number;
  user_id?: string | number;
  user_key?: string;
  node?: string | readonly string[];
  nodes?: readonly string[];
  roundrobin?: boolean;
  wss?: boolean;
  nostat?: boolean;
  uuid?: string;
  CookieKyeName?: string;
  CookieIdName?: string;
}

/** Signals inside a page; every message of `cometApi` is one. */
export interface SignalBus {
  /** Returns the id of the subscription. */
  subscribe(signal: string, handler: (value: unknown) => unknown): string;
  unsubscribe(id: string): boolean;
  emit(signal: string, value?: unknown): void;
}

/** The registry does not know what it hands on. */
type Handle = (argument: unknown) => unknown;

const LOG_KEY = "comet_LogLevel";
/** F15's numbers (protocol.md 2.5.2). */
const FATAL: Record<string, number> = { no_credentials: 401, no_dev_id: 406, bad_version: 418, origin_refused: 423 };

export class CometServerApi {
  readonly bus: SignalBus;
  private readonly client: Client<unknown>;
  private readonly options: LegacyOptions = {};
  /** As last told to the page; survives a restart, so that only changes are told (9.1). */
  private authorized: boolean | undefined;
  private realKey = "";
  private readonly starts: (() => unknown)[] = [];
  /** What runs on each change of the authorization (S16, S17, S18, S19): at 0 when there is none, at 1 when there is. */
  private readonly changes: [(() => unknown)[], (() => unknown)[]] = [[], []];
  private logLevel: number;
  private asked = 0;

  constructor(private readonly env: Env, options?: LegacyOptions) {
    const face: Face<unknown> = {
      argument: (message) => this.argument(message),
      status: (now, before) => this.onStatus(now, before),
      error: (error) => this.onError(error),
      report: (command, answer, error) => this.onReport(command, answer, error),
    };
    this.logLevel = Number(env.storage.get(LOG_KEY) ?? 1) || 0;
    this.client = new Client(env, face);
    this.take(options);
    const { client } = this;
    this.bus = {
      subscribe: (signal, handler) => client.add(signal, { signals: [signal], channels: [] }, handler),
      unsubscribe: (id) => client.unsubscribe(id),
      emit: (signal, value) => void client.handlers.emit([signal], value),
    };
  }

  // Connection (9.1)

  /** `started` runs once the connection is being opened and it is known which tab holds it. */
  start(options?: LegacyOptions, started?: () => unknown): void {
    this.take(options);
    if (started) this.starts.push(started);
    this.client.link.start(this.linkOptions());
    // As told: a master whose beat is on its way is not certain right now, and nobody tells when it is again.
    this.runStarts(this.client.known);
  }

  /** Given options replace their former values, the others stay (S24, S25). */
  restart(options?: LegacyOptions): void {
    this.take(options);
    this.client.link.restart(this.linkOptions());
  }

  stop(): void {
    this.client.link.stop();
  }

  isConnected(): boolean {
    return this.status.state === "open";
  }

  /** True in exactly one tab of a browser (S60); undefined before it is known. */
  isMaster(): boolean | undefined {
    return this.status.master;
  }

  /** undefined before the first connection (S20). */
  isAuthorized(): boolean | undefined {
    return this.status.authorized;
  }

  onAuthSuccess(handler: () => unknown): void {
    this.changes[1].push(handler);
  }

  onAuthFalill(handler: () => unknown): void {
    this.changes[0].push(handler);
  }

  getUUID(): string {
    return browserUuid(toText(this.options.uuid).slice(0, 32), this.env.storage, this.env.random);
  }

  getTabUUID(): string {
    return this.client.tab;
  }

  getUserId(): string | number {
    return this.options.user_id ?? this.cookie(this.options.CookieIdName ?? "CometUserid");
  }

  getUserKey(): string {
    return this.options.user_key ?? this.cookie(this.options.CookieKyeName ?? "CometUserKey");
  }

  getDevId(): string | number {
    return this.options.dev_id ?? "0";
  }

  getRealUserKey(): string {
    return this.realKey;
  }

  setRealUserKey(key: string): void {
    this.realKey = key;
  }

  /** Holds from the next `start` or `restart`. */
  UseWss(use: boolean): void {
    this.options.wss = use;
  }

  isUseWss(): boolean {
    return this.options.wss ?? this.nodes().every((node) => node.startsWith("wss:"));
  }

  /** There is nothing but WebSocket any more. */
  UseWebSocket(_use: boolean): boolean {
    return true;
  }

  /** 0 silent, 1 refused calls and errors (default), 2 connection, 3 every message. */
  setLogLevel(level: number): void {
    this.logLevel = Number(level) || 0;
    this.env.storage.set(LOG_KEY, String(this.logLevel));
  }

  getLogLevel(): number {
    return this.logLevel;
  }

  // Receiving (9.3)

  /** Returns the id of the subscription, or false if the name is malformed. One function: everything (S32). */
  subscription(name: string | LegacyHandler, handler?: LegacyHandler): string | false {
    const [names, handle] = typeof name === "function" ? ["", name] : [name, handler];
    if (typeof names === "string" && typeof handle === "function") {
      const id = this.client.subscribe(names, handle as Handle);
      if (id !== undefined) return id;
    }
    this.log(1, "subscription refused:", name);
    return false;
  }

  /** The published track example spells it so (S41). */
  Subscription(name: string | LegacyHandler, handler?: LegacyHandler): string | false {
    return this.subscription(name, handler);
  }

  /** Stops that handler (S33). */
  unsubscription(id: string): boolean {
    return this.client.unsubscribe(id);
  }

  unsubscriptionAll(): boolean {
    this.client.clear();
    return true;
  }

  // Sending and asking (9.4)

  /**
   * `(channel, event, message)`, `(channel, message)` or `("channel.event", message)`; the channel may begin with `@`
   * (S47). True: sent; false: waits for the connection; undefined: refused.
   */
  web_pipe_send(channel: string, ...rest: [message: unknown] | [event: string, message: unknown]): boolean | undefined {
    const event = rest.length > 1 ? toText(rest[0]) : undefined;
    const command = this.client.sendCommand(toText(channel), event, rest[rest.length - 1]);
    if (command && !objection(command)) return this.ask(this.client.send(command), () => undefined, () => undefined);
    this.log(1, "message refused:", channel);
    return undefined;
  }

  /** Sends a copy of `message` `count` times, `interval` milliseconds apart; receivers see it once. */
  multi_web_pipe_send(
    channel: string, event: string, message: object, count = 3, interval = 1000,
  ): boolean | undefined {
    const marked = { ...message, _cometApi_uuid: this.env.random(16) };
    const sent = this.web_pipe_send(channel, event, marked);
    if (sent !== undefined && count > 1) {
      const again = (left: number): unknown => this.env.timer(() => {
        this.web_pipe_send(channel, event, marked);
        if (left > 1) again(left - 1);
      }, interval);
      again(count - 1);
    }
    return sent;
  }

  /** History to the ordinary handlers of the channel (S55); `handler` becomes one of them. */
  get_pipe_log(channel: string, handler?: LegacyHandler): boolean {
    if (typeof handler === "function" && !this.client.handlers.has(channel, handler as Handle)) {
      if (this.subscription(channel, handler) === false) return false;
    }
    const marker = this.marker();
    return this.ask(this.client.history(toText(channel)), (messages) => {
      for (const message of messages) void this.client.dispatch({ ...message, marker });
    });
  }

  /** `handler` gets `data.user_in_pipe` (S57); other channels than `web_*` and `track_*` have no number (S58). */
  count_users_in_pipe(channel: string, handler?: LegacyHandler): boolean {
    return this.question({ kind: "count", channel: toText(channel) }, handler, "_answer_pipe_count", "user_in_pipe");
  }

  /** `handler` gets the connections in a `track_*` channel as {user_id, uuid} (S40). */
  getTrackPipeUsers(channel: string, handler?: LegacyHandler): boolean {
    return this.question({ kind: "users", channel: toText(channel) }, handler);
  }

  /** `handler` gets {user_id, user_data}. */
  getUserData(id: string | number, handler?: LegacyHandler): boolean {
    return this.question({ kind: "userData", user: toText(id) }, handler);
  }

  sendStatistics(plugin: string, version: string, data: unknown): boolean {
    const body = toBody({ plugin, version, data }) ?? "{}";
    return this.ask(this.client.request({ kind: "statistics", body }), () => undefined);
  }

  private get status(): Status {
    return this.client.link.status;
  }

  private take(options: LegacyOptions | undefined): void {
    Object.assign(this.options, options);
  }

  private nodes(): string[] {
    const { node, nodes, wss } = this.options;
    return nodeAddresses(nodes?.length ? nodes : node, this.env, wss);
  }

  private linkOptions(): LinkOptions {
    const [userId, uuid] = [toText(this.getUserId()), this.getUUID()];
    return {
      nodes: chooseNodes(this.nodes(), this.options.roundrobin === true, userId, uuid),
      devId: toText(this.getDevId()),
      userId,
      userKey: toText(this.getUserKey()),
      uuid,
      chosen: !!this.options.uuid,
      statistics: !this.options.nostat,
    };
  }

  private cookie(name: string): string {
    // A frame without an origin may not read cookies, and what is in them is anybody's.
    return attempt(() => {
      const found = this.env.cookies().split(/; */).find((pair) => pair.startsWith(name + "="));
      return decodeURIComponent((found ?? "").slice(name.length + 1));
    }) ?? "";
  }

  private marker(): string {
    this.asked += 1;
    return this.client.tab + "_" + this.asked;
  }

  /** The answer is for its asker and for whoever listens to the pseudo-channel of such answers. */
  private question(command: Command, handler: LegacyHandler | undefined, pipe = "_answer", event = "answer"): boolean {
    return this.ask(this.client.request(command), (data) =>
      void this.client.dispatch(local(pipe, event, data, this.marker()), handler as Handle | undefined));
  }

  /** True: asked now; false: waits for the connection. */
  private ask<T>(
    question: Promise<T>, answered: (answer: T) => void, failed = (error: CometError) => this.onError(error),
  ): boolean {
    question.then(answered, failed);
    return this.isConnected();
  }

  private onStatus(now: Status, before: Status): void {
    this.log(2, now.state, now.server);
    this.runStarts(now);
    if (now.realKey !== before.realKey) this.realKey = now.realKey;
    if (now.authorized !== undefined && now.authorized !== this.authorized) {
      this.authorized = now.authorized;
      this.run(this.changes[now.authorized ? 1 : 0]);
    }
    if (now.state === "open" && (before.state !== "open" || before.master === now.master)) {
      this.realKey = now.realKey;
      void this.client.dispatch(local("sys", "serverInfo", now.realKey));
    }
    if (now.error && now.state === "refused" && before.state !== "refused") this.onError(now.error);
  }

  private runStarts({ state, master }: Status): void {
    if (master === undefined || state === "idle" || state === "stopped") return;
    this.run(this.starts.splice(0));
  }

  private run(all: readonly (() => unknown)[]): void {
    for (const one of all) this.client.handlers.call(one, undefined);
  }

  private onError({ code, message }: CometError): void {
    this.log(1, code, message);
    void this.client.dispatch(local("sys", "error", { error: message, code, error_code: FATAL[code] }));
  }

  /** F9 (S31, S45), and for a refused message the frame and its copy (Q23). */
  private onReport(command: SendCommand, answer: Answers["send"] | undefined, error: CometError | undefined): void {
    const data = {
      number_messages: answer ? answer.number_messages : -1,
      message: command.body,
      error: error ? error.message : "",
      ...(error && { code: error.code }),
    };
    if (error) {
      this.log(1, error.code, error.message);
      void this.client.dispatch(local("sys", "error", data));
    }
    void this.client.dispatch(local("_answer_to_" + command.channel, error ? "error" : "answer", data));
  }

  private log(level: number, ...what: unknown[]): void {
    if (level <= this.logLevel) this.env.log(level, "cometApi:", ...what);
  }

  private argument({ data, userId, pipe, event, history, marker, uuid }: Delivery): LegacyMessage {
    this.log(3, pipe, event, uuid);
    return { data, server_info: { user_id: userId, pipe, event: event || undefined, history, marker, uuid } };
  }
}
