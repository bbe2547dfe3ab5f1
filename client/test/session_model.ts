// A little server that keeps protocol-v5.md 3 and 4, behind a network that delays and breaks: what the random tests
// hold the session layer against. Small enough to be obviously right.

import type { Edges, SocketListener } from "../src/edges.js";
import type { Clock } from "./link_support.js";
import { frames } from "./session_support.js";

/** Milliseconds a connection may leave private messages unacknowledged (`ws.ack_timeout`). */
const ACK_TIMEOUT = 10_000;
/** Private messages on their way at one time. */
const PRIVATE_WINDOW = 4;

export interface Accepted {
  readonly id: string;
  readonly channel: string;
  readonly body: string;
}

interface Debt {
  readonly uuid: string;
  readonly body: string;
}

export class ModelServer {
  /** Every message that was accepted, in order. */
  readonly accepted: Accepted[] = [];
  /** Private messages nobody has acknowledged. */
  debts: Debt[] = [];
  up = true;
  /** Commands one connection may send in a second; Infinity: no limit. */
  commandsPerSecond = Infinity;
  readonly connections = new Set<Connection>();
  private known = new Set<string>();
  private privates = 0;

  constructor(readonly clock: Clock, readonly random: () => number) {}

  /** What `Edges.connect` does for clients of this server. */
  readonly connect: Edges["connect"] = (url, listener) => {
    const connection = new Connection(this, url, listener);
    this.connections.add(connection);
    return {
      send: (text) => connection.send(text),
      close: () => connection.abandon(),
    };
  };

  /** A private message for the user whose connections these are. */
  insert(body: string): void {
    const debt = { uuid: `p${(this.privates += 1)}`, body };
    this.debts.push(debt);
    for (const connection of this.connections) if (connection.registered) connection.owe(debt, false);
  }

  /** What is remembered of accepted ids is gone, as after a restart in front of a channel without history. */
  forget(): void {
    this.known.clear();
  }

  /** False if it had been accepted before. */
  accept(message: Accepted, sender: Connection): boolean {
    if (this.known.has(message.id)) return false;
    this.known.add(message.id);
    this.accepted.push(message);
    for (const connection of this.connections) {
      if (connection !== sender && connection.channels.has(message.channel)) {
        connection.say(frames.message(message.body, { pipe: message.channel, uuid: message.id }));
      }
    }
    return true;
  }
}

export class Connection {
  readonly channels = new Set<string>();
  /** It was told serverInfo and what waited. */
  registered = false;
  private alive = true;
  private up = 0;
  private down = 0;
  /** Private messages to this connection: sent and not acknowledged, and those behind the window. */
  private sent: Debt[] = [];
  private behind: { readonly debt: Debt; readonly fromQueue: boolean }[] = [];
  private progressAt: number;
  private second = -1;
  private commands = 0;
  private readonly browser: string;

  constructor(private readonly server: ModelServer, url: string, private readonly listener: SocketListener) {
    this.browser = /uuid=([^&]*)/.exec(url)?.[1] ?? "";
    this.progressAt = server.clock.now;
    server.clock.timer(() => this.opened(), this.latency());
  }

  /** From the client. What has not arrived when the connection breaks is lost. */
  send(text: string): boolean {
    if (!this.alive) return false;
    const { clock } = this.server;
    this.up = Math.max(this.up, clock.now + this.latency());
    clock.timer(() => this.alive && this.command(text), this.up - clock.now);
    return true;
  }

  /** To the client. */
  say(frame: object): void {
    const { clock } = this.server;
    this.down = Math.max(this.down, clock.now + this.latency());
    clock.timer(() => this.alive && this.listener.frame(JSON.stringify(frame)), this.down - clock.now);
  }

  /** The network between both breaks; the client notices at once, or never. */
  break(silently: boolean): void {
    if (!this.alive) return;
    this.abandon();
    if (!silently) this.listener.closed();
  }

  abandon(): void {
    this.alive = false;
    this.server.connections.delete(this);
  }

  owe(debt: Debt, fromQueue: boolean): void {
    if (this.sent.length >= PRIVATE_WINDOW) {
      this.behind.push({ debt, fromQueue });
      return;
    }
    if (this.sent.length === 0) this.expectProgress();
    this.sent.push(debt);
    this.say(frames.private(debt.uuid, { data: debt.body, fromQueue }));
  }

  private latency(): number {
    return 1 + this.server.random() * 80;
  }

  private opened(): void {
    if (!this.alive) return;
    if (!this.server.up) return this.break(false);
    this.registered = true;
    this.say(frames.serverInfo());
    for (const debt of this.server.debts) this.owe(debt, true);
  }

  private expectProgress(): void {
    const { clock } = this.server;
    this.progressAt = clock.now;
    clock.timer(() => {
      if (this.alive && this.sent.length > 0 && clock.now - this.progressAt >= ACK_TIMEOUT) this.break(false);
    }, ACK_TIMEOUT);
  }

  private command(text: string): void {
    const [first = "", ...lines] = text.split("\n");
    const [word = "", number] = first.split(" ");
    const re = number === undefined ? undefined : Number(number);
    const second = Math.floor(this.server.clock.now / 1_000);
    this.commands = second === this.second ? this.commands + 1 : 1;
    this.second = second;
    if (this.commands > this.server.commandsPerSecond) return this.say(frames.error("too_many_commands", re));
    switch (word) {
      case "web_pipe2":
        return this.publish(lines, re ?? 0);
      case "subscription":
        this.channels.clear();
        return this.subscribe(lines, re ?? 0);
      case "subscribe":
        return this.subscribe(lines, re ?? 0);
      case "unsubscribe":
        for (const name of lines) this.channels.delete(name);
        return this.subscribe([], re ?? 0);
      case "pipe_log":
        return this.history(lines[0] ?? "", re ?? 0);
      case "ack":
        return this.acknowledge(lines[0] ?? "");
      default:
        return this.say(frames.error("unknown_command", re));
    }
  }

  private publish(lines: readonly string[], re: number): void {
    const [channel = "", , key = "", ...rest] = lines;
    const id = `${this.browser}/${channel}/${key}`;
    const repeated = !this.server.accept({ id, channel, body: rest.join("\n") }, this);
    // The report waits for the disk.
    this.server.clock.timer(() => this.say(frames.report(re, { repeated })), this.server.random() * 100);
  }

  private subscribe(names: readonly string[], re: number): void {
    for (const name of names) this.channels.add(name);
    this.say(frames.subscription(re));
  }

  private history(channel: string, re: number): void {
    const messages = this.server.accepted.filter((message) => message.channel === channel);
    for (const { id, body } of messages) this.say({ ...frames.history(re, body), pipe: channel, uuid: id });
    this.say(frames.answer(re, "pipe_log", { messages: messages.length }));
  }

  private acknowledge(uuid: string): void {
    const at = this.sent.findIndex((debt) => debt.uuid === uuid);
    if (at < 0) return;
    const paid = new Set(this.sent.splice(0, at + 1).map((debt) => debt.uuid));
    this.server.debts = this.server.debts.filter((debt) => !paid.has(debt.uuid));
    if (this.sent.length > 0) this.expectProgress();
    const room = this.behind.splice(0, PRIVATE_WINDOW - this.sent.length);
    for (const { debt, fromQueue } of room) this.owe(debt, fromQueue);
  }
}
