// Entry of the package: the modern face on the connection this browser shares.

import type { Comet, CometOptions } from "./api.js";
import { browserEnv } from "./env.js";
import { directLink, sharedLink } from "./links.js";
import { CometClient } from "./modern.js";

export type * from "./api.js";
export type { ErrorCode, ServerErrorCode } from "./errors.js";
export { CometError } from "./errors.js";
export type { ConnectionState, Status } from "./types.js";

/** Connects, unless `autostart` is false. Never throws; what goes wrong is in `connection` and `onError`. */
export function createComet(options: CometOptions = {}): Comet {
  return new CometClient(browserEnv(import.meta.url, options.shared === false ? directLink : sharedLink), options);
}
