// A browser in virtual time: tabs that open, close, crash, freeze and wake, and what lies between them, with its delays.
//
// Promises: the same seed gives the same run. What a tab does reaches others through one hub, as the browser's main
// process is one: messages have one order for all. A frozen tab runs nothing; when it wakes, what waited for it comes
// in any order that keeps each source in order. Knows nothing of what is tested in it.

import type { Bus, CommonStore, Locks, PageEvent, TabEdges } from "../src/tabs/edges.js";

export interface Features {
  readonly locks: boolean;
  readonly channel: boolean;
  readonly store: boolean;
  /** What there is only pretends: every lock is refused, nothing is kept. */
  readonly denied?: boolean;
}

export class Random {
  constructor(private state: number) {}

  /** 0 <= result < n, whole. */
  below(n: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(Math.max(1, items.length))];
  }
}

type Source = "bus" | "lock" | "store" | "timer" | "socket" | "page";

interface Task {
  readonly at: number;
  readonly order: number;
  run(): void;
}

/** Smallest first. */
class Heap {
  private readonly tasks: Task[] = [];

  push(task: Task): void {
    const { tasks } = this;
    let i = tasks.push(task) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(tasks[i], tasks[up])) break;
      swap(tasks, i, up);
      i = up;
    }
  }

  peek(): Task | undefined {
    return this.tasks[0];
  }

  pop(): Task | undefined {
    const { tasks } = this;
    swap(tasks, 0, tasks.length - 1);
    const first = tasks.pop();
    for (let i = 0; ;) {
      const left = 2 * i + 1;
      const least = before(tasks[left + 1], tasks[left]) ? left + 1 : left;
      if (!before(tasks[least], tasks[i])) return first;
      swap(tasks, i, least);
      i = least;
    }
  }
}

function before(a: Task | undefined, b: Task | undefined): boolean {
  if (!a || !b) return false;
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function swap(tasks: Task[], i: number, j: number): void {
  const a = tasks[i];
  const b = tasks[j];
  if (a && b) [tasks[i], tasks[j]] = [b, a];
}

export class World {
  now = 1_000;
  readonly random: Random;
  readonly tabs: SimTab[] = [];
  readonly ports = new Set<Port>();
  readonly locks = new Map<string, LockState>();
  readonly storeAreas = new Map<string, string>();
  private readonly heap = new Heap();
  private order = 0;
  /** Runs after every step. */
  check: () => void = () => undefined;

  constructor(seed: number, readonly features: Features) {
    this.random = new Random(seed);
  }

  at(delay: number, run: () => void): void {
    this.heap.push({ at: this.now + delay, order: (this.order += 1), run });
  }

  /** Runs everything that happens in the next `ms`. */
  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    await settled();
    for (let task = this.heap.peek(); task && task.at <= end; task = this.heap.peek()) {
      this.heap.pop();
      this.now = Math.max(this.now, task.at);
      task.run();
      await settled();
      this.check();
    }
    this.now = end;
  }

  open(): SimTab {
    const tab = new SimTab(this, this.tabs.length + 1);
    this.tabs.push(tab);
    return tab;
  }

  hubStore(writer: SimTab, key: string, value: string | undefined): void {
    if (value === undefined) this.storeAreas.delete(key);
    else this.storeAreas.set(key, value);
    for (const tab of this.tabs) tab.seesStore(writer, key, value);
  }
}

/** Promises have told whoever waited for them. */
async function settled(): Promise<void> {
  for (let i = 0; i < 12; i += 1) await undefined;
}

interface LockRequest {
  readonly tab: SimTab;
  readonly granted: () => void;
  readonly lost: () => void;
}

interface LockState {
  holder: LockRequest | undefined;
  queue: LockRequest[];
}

interface Port {
  readonly tab: SimTab;
  readonly name: string;
  readonly heard: (message: unknown) => void;
}

export class SimTab {
  alive = true;
  frozen = false;
  hidden = false;
  private polite = false;
  private readonly listeners = new Set<(event: PageEvent) => void>();
  /** What waits for a frozen tab. */
  private parked: { readonly source: Source; readonly run: () => void }[] = [];
  /** When the last task of each source and direction comes: each keeps its order. */
  private readonly lines = new Map<string, number>();
  private readonly requests = new Set<{ readonly name: string; readonly request: LockRequest }>();
  private readonly view = new Map<string, string>();
  private own: { readonly key: string; readonly value: string | undefined }[] = [];
  private readonly timers = new Set<{ readonly due: number; readonly run: () => void }>();
  private ids = 0;
  /** How often a lock was asked for. */
  holds = 0;
  /** `sessionStorage`. */
  readonly session = new Map<string, string>();
  readonly edges: TabEdges;

  constructor(readonly world: World, readonly number: number) {
    for (const [key, value] of world.storeAreas) this.view.set(key, value);
    const { features } = world;
    this.edges = {
      now: () => world.now,
      wallClock: () => 1_700_000_000_000 + Math.floor(world.now),
      timer: (run, ms) => this.timer(run, ms),
      newId: () => `${"pqrstuvwxyzabc"[world.random.below(14)]}${this.number}.${(this.ids += 1)}`,
      listen: (heard) => {
        this.listeners.add(heard);
        return () => this.listeners.delete(heard);
      },
      openBus: (name, heard) => {
        if (features.channel) return this.openChannel(name, heard);
        return features.store ? this.openStoreBus(name, heard) : undefined;
      },
      locks: features.locks ? this.makeLocks() : undefined,
      store: features.store ? this.makeStore() : undefined,
      tabStore: {
        get: (key) => this.session.get(key),
        set: (key, value) => void this.session.set(key, value),
        remove: (key) => void this.session.delete(key),
      },
    };
  }

  get runs(): boolean {
    return this.alive && !this.frozen;
  }

  /** Something that comes to this tab after a delay. */
  task(source: Source, delay: number, run: () => void): void {
    const at = this.inLine(source, delay);
    this.world.at(at - this.world.now, () => {
      if (!this.alive) return;
      if (this.frozen) this.parked.push({ source, run });
      else run();
    });
  }

  /** Something this tab tells the browser or the server; it gets there even if the tab ends. */
  tell(line: string, delay: number, run: () => void): void {
    const at = this.inLine(`to ${line}`, delay);
    this.world.at(at - this.world.now, run);
  }

  private inLine(line: string, delay: number): number {
    const at = Math.max(this.world.now + delay, this.lines.get(line) ?? 0);
    if (line !== "timer") this.lines.set(line, at);
    return at;
  }

  event(event: PageEvent): void {
    for (const heard of this.listeners) heard(event);
  }

  close(): void {
    if (!this.frozen) this.event("pagehide");
    this.crash();
  }

  crash(): void {
    this.alive = false;
    for (const port of this.world.ports) if (port.tab === this) this.world.ports.delete(port);
    for (const { name, request } of this.requests) this.tell("lock", this.world.random.below(5), () => this.drop(name, request));
  }

  /** Politely: the page hears of it, and later of waking. */
  freeze(polite: boolean): void {
    if (polite) this.event("freeze");
    this.polite = polite;
    this.frozen = true;
  }

  wake(): void {
    if (!this.frozen) return;
    const { polite } = this;
    this.frozen = false;
    const parked = this.parked;
    this.parked = [];
    if (polite) this.event("resume");
    const sources = [...new Set(parked.map(({ source }) => source))];
    while (parked.length > 0) {
      const source = this.world.random.pick(sources);
      const i = parked.findIndex((task) => task.source === source);
      const [task] = i < 0 ? [] : parked.splice(i, 1);
      if (task) this.task("page", 0, task.run);
    }
  }

  /** Timers of a hidden tab run at full seconds only. */
  hide(hidden: boolean): void {
    this.hidden = hidden;
    if (!hidden) for (const timer of this.timers) this.schedule(timer);
  }

  private timer(run: () => void, ms: number): () => void {
    const timer = { due: this.world.now + ms + this.world.random.below(8), run };
    this.timers.add(timer);
    this.schedule(timer);
    return () => this.timers.delete(timer);
  }

  private schedule(timer: { readonly due: number; readonly run: () => void }): void {
    const { now } = this.world;
    const at = Math.max(now, this.hidden ? Math.ceil(timer.due / 1000) * 1000 : timer.due);
    this.task("timer", at - now, () => {
      if (this.timers.delete(timer)) timer.run();
    });
  }

  private openChannel(name: string, heard: (message: unknown) => void): Bus {
    const { world } = this;
    const port = { tab: this, name, heard };
    world.ports.add(port);
    return {
      post: (message) => {
        const copy = structuredClone(message);
        if (this.alive) this.tell("bus", world.random.below(4), () => this.spread(name, copy));
      },
      close: () => world.ports.delete(port),
    };
  }

  private spread(name: string, message: unknown): void {
    for (const port of this.world.ports) {
      if (port.name !== name) continue;
      port.tab.task("bus", this.world.random.below(4), () => {
        if (this.world.ports.has(port)) port.heard(message);
      });
    }
  }

  private openStoreBus(name: string, heard: (message: unknown) => void): Bus {
    const { world } = this;
    const port = { tab: this, name, heard };
    world.ports.add(port);
    return {
      post: (message) => {
        const text = JSON.stringify(message);
        if (!this.alive) return;
        this.tell("store", world.random.below(4), () => {
          for (const other of world.ports) {
            if (other.name !== name || other.tab === this) continue;
            other.tab.task("store", world.random.below(4), () => {
              if (world.ports.has(other)) other.heard(JSON.parse(text));
            });
          }
        });
        this.task("bus", world.random.below(2), () => {
          if (world.ports.has(port)) heard(JSON.parse(text));
        });
      },
      close: () => world.ports.delete(port),
    };
  }

  private makeStore(): CommonStore {
    const write = (key: string, value: string | undefined) => {
      if (!this.alive || this.world.features.denied) return;
      this.own.push({ key, value });
      this.tell("store", this.world.random.below(4), () => this.world.hubStore(this, key, value));
    };
    return {
      get: (key) => {
        const mine = this.own.filter((change) => change.key === key).at(-1);
        return mine ? mine.value : this.view.get(key);
      },
      set: (key, value) => write(key, value),
      remove: (key) => write(key, undefined),
    };
  }

  seesStore(writer: SimTab, key: string, value: string | undefined): void {
    this.task("store", this.world.random.below(6), () => {
      if (writer === this) this.own.shift();
      if (value === undefined) this.view.delete(key);
      else this.view.set(key, value);
    });
  }

  private makeLocks(): Locks {
    const { random, features } = this.world;
    return {
      hold: (name, steal, granted, lost) => {
        let over = false;
        this.holds += 1;
        const request: LockRequest = {
          tab: this,
          granted: () => !over && granted(),
          lost: () => !over && lost(),
        };
        const entry = { name, request };
        this.requests.add(entry);
        if (features.denied) this.task("lock", random.below(3), request.lost);
        else this.tell("lock", random.below(3), () => this.ask(name, request, steal));
        return () => {
          over = true;
          this.requests.delete(entry);
          this.tell("lock", random.below(3), () => this.drop(name, request));
        };
      },
    };
  }

  private ask(name: string, request: LockRequest, steal: boolean): void {
    const lock = this.world.locks.get(name) ?? { holder: undefined, queue: [] };
    this.world.locks.set(name, lock);
    const { holder } = lock;
    if (steal && holder) {
      lock.holder = undefined;
      holder.tab.task("lock", this.world.random.below(3), holder.lost);
    }
    if (steal) lock.queue.unshift(request);
    else lock.queue.push(request);
    this.grant(lock);
  }

  private drop(name: string, request: LockRequest): void {
    const lock = this.world.locks.get(name);
    if (!lock) return;
    lock.queue = lock.queue.filter((waiting) => waiting !== request);
    if (lock.holder === request) lock.holder = undefined;
    this.grant(lock);
  }

  private grant(lock: LockState): void {
    if (lock.holder) return;
    const next = lock.queue.shift();
    lock.holder = next;
    next?.tab.task("lock", this.world.random.below(3), next.granted);
  }
}
