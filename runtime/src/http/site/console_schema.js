// The vocabulary of CometQL for completion and help. Tables and columns are those of docs/cometql.md; once logged in, the server's own
// answers to SHOW TABLES and DESCRIBE take their place.

export const TABLES = new Map(Object.entries({
  users_auth: ["id", "hash"],
  users_messages: ["id", "index", "event", "message"],
  users_time: ["id", "time"],
  users_data: ["id", "data"],
  pipes_messages: ["id", "time", "name", "index", "event", "message", "user_id"],
  pipes_settings: ["name", "length"],
  pipes: ["name", "users"],
  users_in_pipes: ["name", "user_id", "user_uuid", "user_agent", "ip", "origin", "language"],
  revoked_tokens: ["token"],
}));

/** What statements begin with. */
export const VERBS = ["SELECT", "INSERT INTO", "DELETE FROM", "SHOW", "DESCRIBE", "help", "clear"];

/** What may follow SHOW. */
export const SHOWN = [
  "TABLES", "DATABASES", "STATUS", "GLOBAL STATUS", "VARIABLES", "PROCESSLIST", "TABLE STATUS", "COLUMNS FROM", "UPTIME STATUS",
  "AVG STATUS", "RAM STATUS", "FILESYSTEM STATUS", "WARNINGS",
];

/** What may stand further on. */
export const KEYWORDS = [
  "FROM", "WHERE", "VALUES", "AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "ORDER BY", "ASC", "DESC", "LIMIT", "OFFSET",
  "COUNT(*)", "AS", "INTO", "VERSION()", "DATABASE()", "USER()", "CONNECTION_ID()",
];

/** Statements to click: what the button says, and what it puts into the prompt. */
export const EXAMPLES = [
  ["Tables", "SHOW TABLES;"],
  ["Keep a history", "INSERT INTO pipes_settings (name, length) VALUES ('web_hello', 20);"],
  ["Say something", "INSERT INTO pipes_messages (name, event, message)\nVALUES ('web_hello', 'greeting', '{\"text\": \"hello from the console\"}');"],
  ["History", "SELECT time, event, message, user_id FROM pipes_messages\nWHERE name = 'web_hello' ORDER BY time DESC LIMIT 10;"],
  ["Private message", "INSERT INTO users_messages (id, event, message)\nVALUES (1, 'note', '{\"text\": \"just for you\"}');"],
  ["Who listens", "SELECT name, user_id, ip FROM users_in_pipes;"],
  ["Channels", "SELECT * FROM pipes;"],
  ["Who is online", "SELECT * FROM users_time;"],
  ["Status", "SHOW GLOBAL STATUS;"],
];

export const HELP = [
  ["INSERT INTO pipes_messages (name, event, message) VALUES (…)", "sends to a channel"],
  ["INSERT INTO users_messages (id, event, message) VALUES (…)", "sends to one person, also to one who is away"],
  ["SELECT … FROM table WHERE … ORDER BY … LIMIT …", "reads"],
  ["DELETE FROM table WHERE …", "deletes"],
  ["SHOW TABLES · DESCRIBE table · SHOW GLOBAL STATUS", "looks around"],
  ["help · clear", "this text, an empty screen"],
];

export const NOTES = [
  "Several statements may follow one another, each with a ; at its end. The first error ends them.",
  "Each run is a session of its own: USE and SET last until its end. The tenant is chosen when logging in.",
  "Enter runs, Shift+Enter begins a line, Tab or Ctrl+Space completes, ↑ ↓ walk through what was typed, Esc closes a list.",
  "All tables, statements and errors: docs/cometql.md in the source tree.",
];
