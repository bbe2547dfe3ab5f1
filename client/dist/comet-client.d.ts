import type { Comet, CometOptions } from "./api.js";
export type * from "./api.js";
export type { ErrorCode, ServerErrorCode } from "./errors.js";
export { CometError } from "./errors.js";
export type { ConnectionState, Status } from "./types.js";
/** Connects, unless `autostart` is false. Never throws; what goes wrong is in `connection` and `onError`. */
export declare function createComet(options?: CometOptions): Comet;
