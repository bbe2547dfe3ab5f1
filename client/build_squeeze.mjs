// Chooses the short names of the classic script so that it compresses well: `node build.mjs --squeeze`.
//
// Which names are shortened is build_names.mjs's affair; which short name each gets matters to nobody but gzip. Promises
// that each name has its own. What it finds is kept in build_names.json, so that builds are quick and always the same.

import { gzipSync } from "node:zlib";

const TRIES = 4_000;

/** A name that stands for the `at`th one in the text and occurs nowhere else. */
export const placeholder = (at) => `$_${String(at).padStart(4, "0")}_$`;

/** `text` has placeholders in the order of `shorts`; the result is better or equal. Swaps two names as long as that helps. */
export function squeeze(text, shorts) {
  const parts = text.split(/\$_(\d{4})_\$/);
  const render = (names) => parts.map((part, at) => (at % 2 ? names[Number(part)] : part)).join("");
  const weigh = (names) => gzipSync(render(names), { level: 9 }).length;
  let best = [...shorts];
  let weight = weigh(best);
  const some = () => Math.floor(Math.random() * best.length);
  for (let left = TRIES; left > 0; left -= 1) {
    const next = [...best];
    const [one, other] = [some(), some()];
    [next[one], next[other]] = [next[other], next[one]];
    const found = weigh(next);
    if (found <= weight) [best, weight] = [next, found];
  }
  return best;
}
