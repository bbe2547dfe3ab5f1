// When to try again (S67): exponential back-off with full jitter.
//
// Promises that a crowd which lost its server at one instant comes back spread out, that a server that stays away is
// asked ever more seldom, and that nothing the server does makes a client try hotly. Must never know why an attempt failed.

/** Ceiling of the first wait while there never was a lasting connection, milliseconds. */
export const BASE = 300;
/** Ceiling of the first wait after a lasting connection broke: the crowd comes back spread over this. */
export const SPREAD = 2_000;
/** No wait has a higher ceiling. */
export const CAP = 30_000;
/** No wait is shorter. */
export const FLOOR = 50;
/** A connection that was open for so long is a lasting one. */
export const LASTING = 10_000;
/** After good news (network, page visible again) the attempt comes within this. */
export const SOON = 500;

export class Backoff {
  private ceiling = BASE;

  constructor(private readonly random: () => number) {}

  /** Milliseconds to wait before the next attempt: uniform below the ceiling, which doubles. */
  next(): number {
    const wait = this.jitter(this.ceiling);
    this.ceiling = Math.min(CAP, this.ceiling * 2);
    return wait;
  }

  /** Milliseconds to wait after good news. */
  soon(): number {
    return this.jitter(SOON);
  }

  /** While the browser says that there is no network: it may be wrong, so seldom is not never. */
  seldom(): number {
    return CAP + this.jitter(CAP);
  }

  /** Something changed that makes old failures meaningless: other options, the network came back. */
  reset(): void {
    this.ceiling = BASE;
  }

  /** A lasting connection broke. */
  lasted(): void {
    this.ceiling = SPREAD;
  }

  private jitter(ceiling: number): number {
    return Math.max(FLOOR, this.random() * ceiling);
  }
}
