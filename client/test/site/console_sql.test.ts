// The console's reading of CometQL: statements are cut exactly where the server would end them (protocol.md 7.3, 7.4), and completion
// offers what can stand there.

import { describe, expect, it } from "vitest";
import { complete, sharedBeginning } from "../../../runtime/src/http/site/console_complete.js";
import { TABLES } from "../../../runtime/src/http/site/console_schema.js";
import { isUnfinished, mayHoldSecret, splitStatements, tokens } from "../../../runtime/src/http/site/console_sql.js";

describe("splitting at semicolons", () => {
  it.each([
    ["SELECT 1", ["SELECT 1"]],
    ["SELECT 1;", ["SELECT 1"]],
    [" SELECT 1 ;\n SHOW TABLES ; ", ["SELECT 1", "SHOW TABLES"]],
    ["", []],
    [" ;; ; ", []],
    ["-- only a comment\n# another\n/* and ; a third */;", []],
    ["SELECT ';' ; SELECT \";\" ; SELECT `;`", ["SELECT ';'", "SELECT \";\"", "SELECT `;`"]],
    ["SELECT 'it''s; fine'; SELECT 2", ["SELECT 'it''s; fine'", "SELECT 2"]],
    ["SELECT 'a\\';b'; SELECT 2", ["SELECT 'a\\';b'", "SELECT 2"]],
    // An even number of backslashes does not protect the delimiter (Q44).
    ["SELECT 'a\\\\'; SELECT 2", ["SELECT 'a\\\\'", "SELECT 2"]],
    ["SELECT 1 -- a;b\n; SELECT 2", ["SELECT 1 -- a;b", "SELECT 2"]],
    ["SELECT 1 # a;b\n; SELECT 2", ["SELECT 1 # a;b", "SELECT 2"]],
    ["SELECT /* a;' */ 1; SELECT 2", ["SELECT /* a;' */ 1", "SELECT 2"]],
    // Two minus signs without a blank are no comment.
    ["SELECT a--b; SELECT 2", ["SELECT a--b", "SELECT 2"]],
    ["SELECT 'unfinished; SELECT 2", ["SELECT 'unfinished; SELECT 2"]],
    ["SELECT '😀;' ; é;", ["SELECT '😀;'", "é"]],
  ])("%j", (text, statements) => expect(splitStatements(text)).toEqual(statements));

  it("loses no character", () => {
    const text = "SELECT 'a\\'' -- x\n, \"b\" /* y */ ; # z\n `c` 😀 @@a";
    expect(tokens(text).map((piece) => piece.text).join("")).toBe(text);
  });
});

describe("Enter", () => {
  it.each([
    ["SELECT 1", false],
    ["SELECT 'a", true],
    ["SELECT 'a''", true],
    ["SELECT 'a\\'", true],
    ["SELECT /* a", true],
    ["SELECT 1 -- a", false],
    ["SELECT 1 # it's", false],
    ["", false],
  ])("%j is unfinished: %s", (text, unfinished) => expect(isUnfinished(text)).toBe(unfinished));

  it("keeps statements about keys and tokens out of the stored history", () => {
    expect(mayHoldSecret("INSERT INTO Users_Auth (id, hash) VALUES (1, 'x')")).toBe(true);
    expect(mayHoldSecret("INSERT INTO `revoked_tokens` VALUES ('x')")).toBe(true);
    expect(mayHoldSecret("SELECT * FROM pipes")).toBe(false);
  });
});

describe("completion", () => {
  const at = (text: string): string[] => {
    const cursor = text.indexOf("|");
    return complete(text.replace("|", ""), cursor, TABLES).words;
  };

  it("offers what a statement begins with", () => {
    expect(at("sel|")).toEqual(["SELECT"]);
    expect(at("SHOW TABLES; ins|")).toEqual(["INSERT INTO"]);
  });

  it("offers tables where a table stands", () => {
    expect(at("SELECT * FROM users_|")).toEqual(["users_auth", "users_messages", "users_time", "users_data", "users_in_pipes"]);
    expect(at("insert into pipes_m|")).toEqual(["pipes_messages"]);
    expect(at("DESCRIBE |")).toEqual([...TABLES.keys()]);
    expect(at("SHOW COLUMNS FROM revo|")).toEqual(["revoked_tokens"]);
  });

  it("offers the columns of the table, also of one that is named later", () => {
    expect(at("SELECT le| FROM pipes_settings")).toEqual(["length"]);
    expect(at("SELECT * FROM users_in_pipes WHERE user_a|")).toEqual(["user_agent"]);
    expect(at("SELECT * FROM pipes; SELECT ha| FROM users_auth; SELECT 1")).toEqual(["hash"]);
    expect(at("SELECT us| FROM pipes; SELECT * FROM users_auth")).toEqual(["users", "USER()"]);
  });

  it("offers nothing within texts and comments", () => {
    expect(at("SELECT * FROM pipes WHERE name = 'us|")).toEqual([]);
    expect(at("SELECT 1 -- us|")).toEqual([]);
  });

  it("says where the word begins", () => {
    expect(complete("SHOW TA", 7, TABLES).from).toBe(5);
  });

  it("shares beginnings whatever their case", () => {
    expect(sharedBeginning(["users_auth", "Users_time"])).toBe("users_");
    expect(sharedBeginning([])).toBe("");
  });
});
