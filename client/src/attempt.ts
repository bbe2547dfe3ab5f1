// For what may throw and must not: browsers at the mention of forbidden storage, JSON at nonsense. Knows nothing else.

/** What `run` returns; undefined if it throws. */
export function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
