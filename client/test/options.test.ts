// Addresses, nodes, the browser's id, and storage that refuses.

import { describe, expect, test } from "vitest";
import { baseAddress, browserUuid, chooseNodes, nodeAddresses, nodeOfScript, toText } from "../src/options.js";
import { createStore } from "../src/storage.js";

describe("addresses (S21, S22)", () => {
  test.each([
    ["host", false, "ws://host"],
    ["host", true, "wss://host"],
    ["host:8087", false, "ws://host:8087"],
    ["//host:8087", true, "wss://host:8087"],
    ["http://host", true, "ws://host"],
    ["https://host:8443/", false, "wss://host:8443"],
    ["ws://host", true, "ws://host"],
    ["WSS://host/comet-server/", false, "wss://host/comet-server"],
    ["host/comet-server", false, "ws://host/comet-server"],
    ["host:80/comet-server?x=1#y", false, "ws://host:80/comet-server"],
    ["ws:8087", false, "ws://ws:8087"],
    ["[::1]:8087", false, "ws://[::1]:8087"],
    [" host ", false, "ws://host"],
    ["", false, "ws://localhost:8087"],
  ])("%j, page over TLS: %j", (node, secure, expected) => {
    expect(baseAddress(node, secure)).toBe(expected);
  });

  test("UseWss overrules page and address", () => {
    expect(baseAddress("https://host", true, false)).toBe("ws://host");
    expect(baseAddress("ws://host", false, true)).toBe("wss://host");
  });

  test("the server the script came from", () => {
    expect(nodeOfScript("https://host:8443/CometServerApi.js?v=1")).toBe("https://host:8443");
    expect(nodeOfScript("https://host/comet-server/CometServerApi.js")).toBe("https://host/comet-server");
    expect(nodeOfScript("https://host/comet-servers/x.js")).toBe("https://host");
    expect(nodeOfScript("https://host/assets/app.js")).toBe("https://host");
    expect(nodeOfScript("file:///home/app.js")).toBe("");
    expect(nodeOfScript("")).toBe("");
  });

  test("nothing usable given: the default node", () => {
    const env = { node: "https://site", secure: true };
    for (const given of [undefined, null, "", [], [""], {}, true]) {
      expect(nodeAddresses(given, env)).toEqual(["wss://site"]);
    }
    expect(nodeAddresses(["a", "b:1"], env)).toEqual(["wss://a", "wss://b:1"]);
  });
});

describe("round robin (protocol.md 9.2)", () => {
  const nodes = ["ws://a", "ws://b", "ws://c"];
  test("all, or that of the user", () => {
    expect(chooseNodes(nodes, false, "7", "u")).toEqual(nodes);
    expect(chooseNodes(nodes, true, "7", "u")).toEqual(["ws://b"]);
    expect(chooseNodes(nodes, true, "999999999", "u")).toEqual(["ws://a"]);
    expect(chooseNodes(["ws://a"], true, "7", "u")).toEqual(["ws://a"]);
  });

  test("anonymous browsers keep theirs and spread", () => {
    const chosen = (uuid: string) => chooseNodes(nodes, true, "", uuid);
    expect(chosen("browser-1")).toEqual(chosen("browser-1"));
    const all = new Set(Array.from({ length: 60 }, (_, n) => chosen("browser-" + n).join()));
    expect([...all].sort()).toEqual(nodes);
  });

  test.each(["", "abc", "-1", "1e400", "0.5"])("a user %j still gets exactly one node", (user) => {
    expect(chooseNodes(nodes, true, user, "u")).toHaveLength(1);
  });
});

describe("the browser's id", () => {
  const store = () => {
    const map = new Map<string, string>();
    return { map, store: createStore(() => ({ getItem: (k) => map.get(k) ?? null, setItem: (k, v) => void map.set(k, v) })) };
  };

  test("made once, kept under the old client's key", () => {
    const { map, store: storage } = store();
    expect(browserUuid("", storage, (n) => "x".repeat(n))).toBe("x".repeat(32));
    expect(map.get("comet_server_uuid")).toBe("x".repeat(32));
    expect(browserUuid("", storage, (n) => "y".repeat(n))).toBe("x".repeat(32));
  });

  test("the page's own wins and is not stored; nonsense is ignored", () => {
    const { map, store: storage } = store();
    expect(browserUuid("mine", storage, (n) => "x".repeat(n))).toBe("mine");
    expect(map.size).toBe(0);
    map.set("comet_server_uuid", "no name\n");
    expect(browserUuid("a b", storage, (n) => "x".repeat(n))).toBe("x".repeat(32));
  });

  test("storage that throws: in memory, for the life of the page", () => {
    const storage = createStore(() => { throw new Error("SecurityError"); });
    const uuid = browserUuid("", storage, (n) => "x".repeat(n));
    expect(browserUuid("", storage, (n) => "y".repeat(n))).toBe(uuid);
  });

  test("storage that is full remembers in memory until it takes the value", () => {
    let full = true;
    const map = new Map([["k", "old"]]);
    const storage = createStore(() => ({
      getItem: (key) => map.get(key) ?? null,
      setItem: (key, value) => {
        if (full) throw new Error("QuotaExceededError");
        map.set(key, value);
      },
    }));
    storage.set("k", "new");
    expect(storage.get("k")).toBe("new");
    full = false;
    storage.set("k", "newer");
    map.set("k", "another tab's");
    expect(storage.get("k")).toBe("another tab's");
  });
});

test("S6: numbers are text, and the words for nothing are nothing", () => {
  expect([7, "7", 0, undefined, null, "undefined", "null", {}, [], true].map(toText)).toEqual(
    ["7", "7", "0", "", "", "", "", "", "", ""]);
});
