// The two connections a page can have, with the real browser around them: its own, or the one of all tabs.
// Knows only how they are put together.

import { DirectLink } from "./direct_link.js";
import { browserEdges } from "./edges.js";
import { browserTabEdges } from "./tabs/browser.js";
import { SharedLink } from "./tabs/shared_link.js";
import type { Link, LinkHandler } from "./types.js";

export function directLink(handler: LinkHandler): Link {
  return new DirectLink(handler, browserEdges());
}

export function sharedLink(handler: LinkHandler): Link {
  // Outside of a page there are no tabs.
  if (typeof addEventListener !== "function") return directLink(handler);
  return new SharedLink(handler, directLink, browserTabEdges());
}
