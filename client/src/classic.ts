// Entry of the classic script `CometServerApi.js`: defines the globals of protocol.md 9 and nothing else. Loading it
// opens nothing and never throws; a second copy on the same page leaves the first in place.

import { browserEnv } from "./env.js";
import { sharedLink } from "./links.js";
import { toText } from "./options.js";
import { CometServerApi, type LegacyOptions } from "./legacy.js";

const page = globalThis as unknown as Record<string, unknown>;
if (!page["cometApi"]) {
  const script = typeof document === "undefined" ? undefined : (document.currentScript as { src?: unknown } | null);
  const env = browserEnv(toText(script?.src), sharedLink);
  // Works with and without `new`.
  const construct = function (options?: LegacyOptions): CometServerApi {
    return new CometServerApi(env, options);
  };
  construct.prototype = CometServerApi.prototype;
  const cometApi = construct();
  const { bus } = cometApi;
  Object.assign(page, {
    cometApi,
    CometServer: () => cometApi,
    cometServerApi: construct,
    _cometServerApi: construct,
    tabSignal: bus,
    comet_server_signal: () => bus,
  });
}
