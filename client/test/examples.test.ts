// The documentation is true: every `js` block of docs/js-api.md runs against a server in memory and prints what it says,
// every `html` block is the file it names (which the browser tests open).

import { afterEach, describe, expect, test } from "vitest";
import text from "../../docs/js-api.md?raw";
import classicPage from "../examples/classic.html?raw";
import modernPage from "../examples/modern.html?raw";
import script from "../dist/CometServerApi.js?raw";
import type { Comet, CometOptions } from "../src/api.js";
import { CometError, createComet } from "../src/index.js";
import { FakeServer } from "./fake_server.js";

const pages = new Map([["client/examples/classic.html", classicPage], ["client/examples/modern.html", modernPage]]);
const blocks = [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = ""], index) => ({ code, index }));
const closing: (() => void)[] = [];

afterEach(() => closing.splice(0).forEach((close) => close()));

/** As much of CometQL as the examples say. */
function backEnd(server: FakeServer) {
  return {
    query(sql: string): Promise<void> {
      const [, table, values = ""] = /^INSERT INTO (\w+) \(.*?\) VALUES \((.*)\)$/.exec(sql) ?? [];
      const [first = "", second = "", third = ""] = values.split(/, (?=['\d])/).map((value) => value.replace(/^'|'$/g, ""));
      if (table === "users_messages") server.sendPrivate(Number(first), second, JSON.parse(third));
      else if (table === "pipes_messages") server.publish(first, second, JSON.parse(third));
      else if (table === "pipes_settings") server.keepHistory(first);
      else if (table === "users_data") server.user(Number(first), "").data = second;
      else throw new Error("the examples do not say: " + sql);
      return Promise.resolve();
    },
  };
}

async function run(code: string, printed: string[]): Promise<void> {
  const server = new FakeServer();
  server.user(7, "anna-key");
  server.user(8, "ben-key");
  const WebSocket = globalThis.WebSocket;
  globalThis.WebSocket = server.WebSocket as unknown as typeof WebSocket;
  const page: { cometApi?: { stop(): void } } = {};
  new Function("globalThis", script)(page);
  closing.push(() => { globalThis.WebSocket = WebSocket; }, () => page.cometApi?.stop());
  const scope = {
    ...page,
    CometError,
    createComet(options: CometOptions): Comet {
      const comet = createComet(options);
      closing.push(() => comet.close());
      return comet;
    },
    mysql: backEnd(server),
    console: {
      log: (...what: unknown[]) => void printed.push(what.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join(" ")),
    },
  };
  const body = code.replace(/^import .*$/gm, "");
  await new Function(...Object.keys(scope), `return (async () => {${body}\n})();`)(...Object.values(scope));
}

describe("docs/js-api.md", () => {
  test.each(blocks)("js block $index prints what it says", async ({ code }) => {
    const [source = "", output = ""] = code.split("\n// prints:\n");
    const expected = output.trimEnd().split("\n").map((line) => line.replace(/^\/\/ /, ""));
    expect(output).not.toBe("");
    const printed: string[] = [];
    await run(source, printed);
    // `*` in the documentation stands for an id.
    const shown = () => printed.map((line, at) => {
      const pattern = (expected[at] ?? "").replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[\\w-]+");
      return new RegExp(`^${pattern}$`).test(line) ? expected[at] : line;
    });
    await expect.poll(shown).toEqual(expected);
  });

  test("html blocks are the files they name", () => {
    const named = [...text.matchAll(/^<!-- (\S+) -->\n```html\n([\s\S]*?)^```$/gm)];
    expect(named.map(([, name]) => name).sort()).toEqual([...pages.keys()].sort());
    expect(named).toHaveLength([...text.matchAll(/^```html$/gm)].length);
    for (const [, name = "", page] of named) expect(pages.get(name)).toBe(page);
  });

  test("there are examples", () => {
    expect(blocks.length).toBeGreaterThanOrEqual(8);
  });
});
