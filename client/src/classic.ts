// Entry of the classic script `CometServerApi.js`: defines the globals of protocol.md 9 and nothing else. Loading it
// opens nothing and never throws; a second copy on the same page leaves the first in place.

import { browserEnv, type Env } from "./env.js";
import { sharedLink } from "./links.js";
import { toText } from "./options.js";
import { CometServerApi, type LegacyOptions } from "./legacy.js";

/** The old constructor; works with and without `new`. */
function constructorOf(env: Env): (options?: LegacyOptions) => CometServerApi {
  const construct = (function (options?: LegacyOptions): CometServerApi {
    return new CometServerApi(env, options);
  });
  construct.prototype = CometServerApi.prototype;
  return construct;
}

function define(target: Record<string, unknown>): void {
  if (target["cometApi"]) return;
  const script = typeof document === "undefined" ? undefined : (document.currentScript as { src?: unknown } | null);
  const construct = constructorOf(browserEnv(toText(script?.src), sharedLink));
  const cometApi = construct();
  const { bus } = cometApi;
  target["cometApi"] = cometApi;
  target["CometServer"] = () => cometApi;
  target["cometServerApi"] = target["_cometServerApi"] = construct;
  target["tabSignal"] = bus;
  target["comet_server_signal"] = () => bus;
}

define(globalThis as unknown as Record<string, unknown>);
