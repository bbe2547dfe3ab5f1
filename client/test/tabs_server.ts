// A server and connections to it, as far as tabs need them: no frames, only what a link promises.
//
// Promises: a message reaches every connection that subscribed to its channel but the one it came from; private messages
// come again on every new connection until one acknowledges them; a send key counts once. The log tells what happened.

import { CometError } from "../src/errors.js";
import type { Answer, Command, ConnectionState, Incoming, Link, LinkHandler, LinkOptions, Status } from "../src/types.js";
import type { SimTab, World } from "./tabs_sim.js";

export class Server {
  readonly connections = new Set<FakeLink>();
  /** Private messages nobody has acknowledged. */
  owed: Incoming[] = [];
  readonly sendKeys = new Set<string>();
  private uuids = 0;

  constructor(readonly world: World) {}

  publish(channel: string, data: string, withUuid: boolean, from?: FakeLink, key?: string): void {
    const uuid = key ?? (withUuid ? `id-${(this.uuids += 1)}` : undefined);
    const message = { ...plain(channel, data), uuid };
    for (const link of this.connections) if (link !== from && link.told.has(channel)) link.comes(message);
  }

  private(data: string): void {
    const message = { ...plain("msg", data), uuid: `private-${(this.uuids += 1)}` };
    this.owed.push(message);
    for (const link of this.connections) link.comes(message);
  }

  answer(link: FakeLink, command: Command): Answer {
    switch (command.kind) {
      case "send": {
        const repeated = this.sendKeys.has(command.sendKey);
        this.sendKeys.add(command.sendKey);
        if (!repeated) this.publish(command.channel, command.body, true, link, `k${command.sendKey}`);
        return { number_messages: 1, repeated, uuid: `k${command.sendKey}` };
      }
      case "history":
        return [{ ...plain(command.channel, "old"), history: true }];
      case "count":
        return { user_in_pipe: this.connections.size };
      case "users":
        return [];
      case "userData":
        return { user_id: 1, user_data: "" };
      case "status":
        return { data: 0 };
      case "statistics":
        return {};
    }
  }
}

function plain(pipe: string, data: unknown): Incoming {
  return { pipe, event: "", data, userId: 0, history: false, fromQueue: false, uuid: undefined, time: 1 };
}

export class FakeLink implements Link {
  /** The channels the server knows of. */
  told = new Set<string>();
  options: LinkOptions | undefined;
  private wanted: readonly string[] = [];
  private state: ConnectionState = "idle";
  private readonly waiting = new Map<number, { command: Command; resolve(answer: Answer): void; reject(error: CometError): void }>();
  private ids = 0;
  private epoch = 0;

  constructor(private readonly tab: SimTab, private readonly server: Server, private readonly handler: LinkHandler) {}

  get status(): Status {
    const open = this.state === "open";
    return {
      state: this.state, authorized: open ? true : undefined, realKey: open ? this.options?.userKey ?? "" : "",
      master: true, server: "test", error: undefined,
    };
  }

  start(options: LinkOptions): void {
    this.options = options;
    this.connect();
  }

  restart(options: LinkOptions): void {
    this.disconnect();
    this.options = options;
    this.connect();
  }

  stop(): void {
    this.disconnect();
    this.become("stopped");
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(new CometError("stopped", "stopped"));
  }

  channels(names: readonly string[]): void {
    this.wanted = names;
    if (this.state === "open") this.up(() => void (this.told = new Set(names)));
  }

  request(command: Command, signal?: AbortSignal): Promise<Answer> {
    const id = (this.ids += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { command, resolve, reject });
      signal?.addEventListener("abort", () => {
        if (this.waiting.delete(id)) reject(new CometError("aborted", "aborted"));
      });
      if (this.state === "open") this.leave(id, command);
    });
  }

  /** The server sends a message. */
  comes(message: Incoming): void {
    const { epoch } = this;
    this.tab.task("socket", this.delay(), () => {
      if (epoch !== this.epoch) return;
      void Promise.resolve(this.handler.receive(message)).then(() => {
        if (message.pipe !== "msg" || epoch !== this.epoch) return;
        this.up(() => void (this.server.owed = this.server.owed.filter(({ uuid }) => uuid !== message.uuid)));
      });
    });
  }

  /** The socket is gone, as the server sees it. */
  cut(): void {
    this.server.connections.delete(this);
  }

  private connect(): void {
    const epoch = (this.epoch += 1);
    this.become("connecting");
    this.up(() => this.tab.task("socket", this.delay(), () => epoch === this.epoch && this.opened()));
  }

  private opened(): void {
    const { epoch } = this;
    this.become("open");
    if (epoch !== this.epoch) return;
    const names = this.wanted;
    this.up(() => {
      this.told = new Set(names);
      this.server.connections.add(this);
      for (const message of this.server.owed) this.comes(message);
    });
    for (const [id, { command }] of this.waiting) this.leave(id, command);
  }

  private disconnect(): void {
    this.epoch += 1;
    this.tab.tell("server", this.delay(), () => this.cut());
  }

  private leave(id: number, command: Command): void {
    this.up(() => {
      const answer = this.server.answer(this, command);
      const { epoch } = this;
      this.tab.task("socket", this.delay(), () => {
        if (epoch !== this.epoch) return;
        const waiting = this.waiting.get(id);
        this.waiting.delete(id);
        waiting?.resolve(answer);
      });
    });
  }

  /** Reaches the server unless the connection has ended. */
  private up(run: () => void): void {
    const { epoch } = this;
    if (!this.tab.alive) return;
    this.tab.tell("server", this.delay(), () => {
      if (epoch === this.epoch && this.tab.alive) run();
    });
  }

  private become(state: ConnectionState): void {
    this.state = state;
    this.handler.status(this.status);
  }

  private delay(): number {
    return 1 + this.server.world.random.below(8);
  }
}
