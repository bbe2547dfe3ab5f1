// Messages as an async iteration with a bounded buffer.
//
// Promises: what arrives is yielded in order; the promise given back for a value settles when the loop has come back
// for the next one, so that a private message is acknowledged after the loop handled it; one value more than the limit
// ends the iteration with `queue_full` after what is buffered. Knows nothing of messages.

import { CometError } from "./errors.js";

interface Waiting<T> {
  readonly value: T;
  readonly handled: () => void;
}

export interface Iteration<T> {
  readonly iterator: AsyncIterableIterator<T>;
  /** Takes a value; its promise settles when the loop has handled it. */
  push(value: T): Promise<void>;
  /** Ends it at once: what is buffered counts as handled and is not yielded. */
  end(): void;
}

/** `ended` is called once, when nothing more is wanted. */
export function createIteration<T>(limit: number, ended: () => void): Iteration<T> {
  const buffer: Waiting<T>[] = [];
  const readers: ((result: IteratorResult<T> | PromiseLike<IteratorResult<T>>) => void)[] = [];
  let current: Waiting<T> | undefined;
  let open = true;
  let failure: CometError | undefined;

  const close = (): void => {
    if (!open) return;
    open = false;
    ended();
    for (const read of readers.splice(0)) read({ value: undefined, done: true });
  };
  const settleCurrent = (): void => {
    current?.handled();
    current = undefined;
  };
  const end = (): void => {
    for (const { handled } of buffer.splice(0)) handled();
    close();
  };
  const give = (): void => {
    while (readers.length > 0 && buffer.length > 0) {
      settleCurrent();
      current = buffer.shift();
      if (current) readers.shift()?.({ value: current.value, done: false });
    }
  };

  const iterator: AsyncIterableIterator<T> = {
    [Symbol.asyncIterator]: () => iterator,
    next: () => {
      settleCurrent();
      return new Promise((resolve, reject) => {
        if (buffer.length > 0 || open) {
          readers.push(resolve);
          give();
        } else if (failure) {
          reject(failure);
          failure = undefined;
        } else resolve({ value: undefined, done: true });
      });
    },
    return: () => {
      settleCurrent();
      end();
      return Promise.resolve({ value: undefined, done: true });
    },
  };
  return {
    iterator,
    end,
    push: (value) => new Promise((handled) => {
      if (!open) return handled();
      if (buffer.length >= limit) {
        handled();
        failure = new CometError("queue_full", "the loop is slower than the messages");
        return close();
      }
      buffer.push({ value, handled });
      give();
    }),
  };
}
