// A page without a browser for the tests of the faces: a link that answers what the test says, and virtual time.

import type { Answer, Command, Incoming, Link, LinkHandler, LinkOptions, Status } from "../src/types.js";
import { CometError } from "../src/errors.js";
import type { Env } from "../src/env.js";
import { createStore } from "../src/storage.js";

export interface Asked {
  readonly command: Command;
  readonly signal: AbortSignal | undefined;
  answer(answer: Answer): Promise<void>;
  fail(error: CometError): Promise<void>;
}

/** Lets everything run that waits for promises only. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

export class FakeLink implements Link {
  /** Everything the face did, in order. */
  readonly calls: string[] = [];
  readonly asked: Asked[] = [];
  readonly options: LinkOptions[] = [];
  declared: readonly string[] = [];
  status: Status = {
    state: "idle", authorized: undefined, realKey: "", master: undefined, server: "", error: undefined,
  };

  constructor(readonly handler: LinkHandler) {}

  start(options: LinkOptions): void {
    this.calls.push("start");
    this.options.push(options);
  }

  restart(options: LinkOptions): void {
    this.calls.push("restart");
    this.options.push(options);
  }

  stop(): void {
    this.calls.push("stop");
    this.become({ state: "stopped" });
  }

  channels(names: readonly string[]): void {
    this.calls.push("channels " + names.join());
    this.declared = names;
  }

  request(command: Command, signal?: AbortSignal): Promise<Answer> {
    this.calls.push(command.kind);
    return new Promise((resolve, reject) => {
      this.asked.push({
        command,
        signal,
        answer: (answer) => (resolve(answer), settle()),
        fail: (error) => (reject(error), settle()),
      });
    });
  }

  /** The newest request. */
  get last(): Asked {
    const last = this.asked.at(-1);
    if (!last) throw new Error("nothing was asked");
    return last;
  }

  become(change: Partial<Status>): void {
    this.status = { ...this.status, ...change };
    this.handler.status(this.status);
  }

  /** serverInfo arrived. */
  open(authorized = true): void {
    this.become({ state: "open", authorized, master: true, realKey: authorized ? "key" : "", server: "comet-server 1" });
  }

  receive(message: Partial<Incoming> & { pipe: string }): void | Promise<unknown> {
    return this.handler.receive(incoming(message));
  }
}

export function incoming(message: Partial<Incoming> & { pipe: string }): Incoming {
  return {
    event: "", data: "", userId: 0, history: false, fromQueue: false, uuid: undefined, time: 1_700_000_000, ...message,
  };
}

/** An environment whose clock the test moves. */
export class FakeEnv implements Env {
  readonly stored = new Map<string, string>();
  readonly reported: unknown[] = [];
  readonly logged: unknown[][] = [];
  readonly links: FakeLink[] = [];
  readonly timers: { at: number; run: () => void }[] = [];
  time = 0;
  secure = false;
  node = "http://site:8087";
  cookieText = "";
  private drawn = 0;

  readonly storage = createStore(() => ({
    getItem: (key) => this.stored.get(key) ?? null,
    setItem: (key, value) => void this.stored.set(key, value),
  }));

  readonly createLink = (handler: LinkHandler): FakeLink => {
    const link = new FakeLink(handler);
    this.links.push(link);
    return link;
  };

  readonly random = (length: number): string => {
    this.drawn += 1;
    return String(this.drawn).padStart(length, "r");
  };

  readonly now = (): number => this.time;
  readonly timer = (run: () => void, ms: number): (() => void) => {
    this.timers.push({ at: this.time + ms, run });
    return () => undefined;
  };
  readonly report = (error: unknown): void => void this.reported.push(error);
  readonly log = (level: number, ...what: unknown[]): void => void this.logged.push([level, ...what]);
  readonly cookies = (): string => this.cookieText;

  get link(): FakeLink {
    const link = this.links.at(-1);
    if (!link) throw new Error("no link");
    return link;
  }

  /** Moves the clock, running what is due in order. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.timers.splice(this.timers.indexOf(due), 1);
      this.time = due.at;
      due.run();
      await settle();
    }
    this.time = end;
  }
}

/** The error the promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<CometError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CometError) return error;
    throw error;
  }
  throw new Error("it did not reject");
}
