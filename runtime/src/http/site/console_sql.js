// Reads CometQL only as far as a command line must: where statements end, and what stands before the cursor. Pure. The rules are
// those of docs/cometql.md: texts between ' " or `, doubled or escaped delimiters, comments `-- `, `#` and `/* */`.

/**
 * Pieces of the text, without gaps: { kind, text, start, open }.
 * kind: "blank" | "comment" | "quoted" | "word" | "semicolon" | "sign"; `open`: the text ends inside of it.
 */
export function tokens(text) {
  const found = [];
  for (let at = 0; at < text.length;) {
    const piece = next(text, at);
    found.push({ open: false, ...piece, start: at });
    at += piece.text.length;
  }
  return found;
}

function next(text, at) {
  const char = text[at];
  if (char === "'" || char === '"' || char === "`") {
    return quoted(text, at);
  }
  if (char === "#" || (text.startsWith("--", at) && /^(\s|$)/.test(text.slice(at + 2, at + 3)))) {
    const end = text.indexOf("\n", at);
    return { kind: "comment", text: end < 0 ? text.slice(at) : text.slice(at, end), open: end < 0 };
  }
  if (text.startsWith("/*", at)) {
    const end = text.indexOf("*/", at + 2);
    return { kind: "comment", text: end < 0 ? text.slice(at) : text.slice(at, end + 2), open: end < 0 };
  }
  if (char === ";") {
    return { kind: "semicolon", text: ";" };
  }
  const blank = run(text, at, /\s+/y);
  const word = blank ?? run(text, at, /[\w@]+/y);
  return { kind: blank ? "blank" : word ? "word" : "sign", text: word ?? char };
}

function run(text, at, pattern) {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** A literal ends at the first delimiter that is neither doubled nor behind an odd number of backslashes. */
function quoted(text, start) {
  const delimiter = text[start];
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === "\\") {
      at += 1;
    } else if (text[at] === delimiter) {
      if (text[at + 1] !== delimiter) {
        return { kind: "quoted", text: text.slice(start, at + 1) };
      }
      at += 1;
    }
  }
  return { kind: "quoted", text: text.slice(start), open: true };
}

/** The statements of a text, without their semicolons; those of blanks and comments only are left out. */
export function splitStatements(text) {
  const statements = [];
  let pieces = [];
  const finish = () => {
    if (pieces.some(piece => piece.kind !== "blank" && piece.kind !== "comment")) {
      statements.push(pieces.map(piece => piece.text).join("").trim());
    }
    pieces = [];
  };
  for (const piece of tokens(text)) {
    if (piece.kind === "semicolon") {
      finish();
    } else {
      pieces.push(piece);
    }
  }
  finish();
  return statements;
}

/** True if Enter would cut a quoted text or a comment in two. */
export function isUnfinished(text) {
  const last = tokens(text).at(-1);
  return last !== undefined && last.open && !(last.kind === "comment" && !last.text.startsWith("/*"));
}

/** Values of these tables are secrets: what names them is not written down anywhere. */
export function mayHoldSecret(text) {
  return /users_auth|revoked_tokens|conference/i.test(text);
}
