// What a page asked a link and does not know the outcome of.
//
// Promises each request one outcome, and that a caller who changes his mind has it at once. Must never know where a
// request goes.

import { CometError } from "./errors.js";
import type { Answer, Command } from "./types.js";

interface Request {
  readonly command: Command;
  settle(outcome: Answer | CometError): void;
}

export class Pending {
  /** In the order of asking. */
  readonly all = new Map<number, Request>();
  private ids = 0;

  /** `ask` is told the number of the request, and so is `takeBack` when the caller's signal fires. */
  add(command: Command, signal: AbortSignal | undefined, ask: (id: number) => void, takeBack: (id: number) => void): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const id = (this.ids += 1);
      const abort = () => {
        this.settle(id, new CometError("aborted", "the caller changed its mind"));
        takeBack(id);
      };
      this.all.set(id, {
        command,
        settle(outcome) {
          signal?.removeEventListener("abort", abort);
          if (outcome instanceof CometError) reject(outcome);
          else resolve(outcome);
        },
      });
      if (signal?.aborted) return this.settle(id, new CometError("aborted", "the caller changed its mind"));
      signal?.addEventListener("abort", abort);
      ask(id);
    });
  }

  /** Nothing, if it has its outcome. */
  settle(id: number, outcome: Answer | CometError): void {
    const request = this.all.get(id);
    this.all.delete(id);
    request?.settle(outcome);
  }
}
