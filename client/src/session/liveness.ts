// Whether the other side is still there, found out without a clock that can be trusted.
//
// Browsers answer a server's Pings by themselves and tell the page nothing, so the page has to ask. Promises that a
// dead connection is noticed: within 15 s while an answer is owed, after good news from the browser within 5 s, in
// any case within 65 s; and that a slept-through deadline alone condemns nobody. Must never know what is asked.

/** An answer that is owed may take so long before we ask whether anybody is there, milliseconds. */
export const PATIENCE = 10_000;
/** So long with nothing heard, owed or not. */
export const QUIET = 60_000;
/** The question must be answered in so long. */
export const PROBE_TIMEOUT = 5_000;
/** A server that speaks but never gives this answer. */
export const STUCK = 60_000;
/** A timer that is so late was slept through. */
const LATE = 2_000;

export type Verdict = "alive" | "ask" | "dead";

export class Liveness {
  private heardAt = 0;
  private askedAt = 0;
  /** Questions since something was heard. */
  private asked = 0;

  /** Something arrived. */
  heard(now: number): void {
    this.heardAt = now;
    this.asked = 0;
  }

  /** The question is on its way. */
  ask(now: number): void {
    this.askedAt = now;
    this.asked += 1;
  }

  /** There is a reason to doubt: ask, unless something was just heard or we are asking already. */
  doubt(now: number): boolean {
    return this.asked === 0 && now - this.heardAt > LATE;
  }

  /** When `verdict` has to be asked for. `owedSince`: when the oldest command without result left. */
  dueAt(owedSince: number | undefined): number {
    if (this.asked > 0) return this.askedAt + PROBE_TIMEOUT;
    const quiet = this.heardAt + QUIET;
    return owedSince === undefined ? quiet : Math.min(quiet, Math.max(this.heardAt, owedSince) + PATIENCE, owedSince + STUCK);
  }

  verdict(now: number, owedSince: number | undefined): Verdict {
    const due = this.dueAt(owedSince);
    if (now < due) return "alive";
    if (owedSince !== undefined && now - owedSince >= STUCK) return "dead";
    const slept = now - due > LATE;
    return this.asked === 0 || (slept && this.asked < 2) ? "ask" : "dead";
  }
}
