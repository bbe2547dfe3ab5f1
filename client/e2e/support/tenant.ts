// A tenant of the server for one test, so that tests that share a server do not see each other, and the back end of
// its site: a real MySQL driver that speaks CometQL.

import { createConnection, type Connection, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { PASSWORD, type Server } from "./server.js";

export type Row = Readonly<Record<string, string>>;

export class Tenant {
  private connection: Connection | undefined;

  constructor(readonly server: Server, readonly dev: number) {}

  /** Rows of a SELECT; `?` stands for a value, which the driver escapes. */
  async select(statement: string, values: readonly (string | number)[] = []): Promise<Row[]> {
    const [rows] = await (await this.open()).query<RowDataPacket[]>(statement, [...values]);
    return rows.map((row) => ({ ...row }));
  }

  /** INSERT or DELETE; returns what the console would print, such as `delivered=1 queued=0`. */
  async run(statement: string, values: readonly (string | number)[] = []): Promise<string> {
    const [done] = await (await this.open()).query<ResultSetHeader>(statement, [...values]);
    // This driver leaves the length in front of the text.
    return done.info.replace(/^.*?(?=delivered=)/s, "");
  }

  async authorize(user: number, key: string): Promise<void> {
    await this.run("INSERT INTO users_auth (id, hash) VALUES (?, ?)", [user, key]);
  }

  /** To everybody on a channel; an object goes as JSON. */
  async publish(channel: string, event: string, body: unknown): Promise<string> {
    return this.run("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", [channel, event, text(body)]);
  }

  /** To one user. */
  async tell(user: number, event: string, body: unknown): Promise<string> {
    return this.run("INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)", [user, event, text(body)]);
  }

  async keepHistory(channel: string, length: number): Promise<void> {
    await this.run("INSERT INTO pipes_settings (name, length) VALUES (?, ?)", [channel, length]);
  }

  /** One row per connection that is subscribed. */
  async subscribers(channel: string): Promise<Row[]> {
    return this.select("SELECT * FROM users_in_pipes WHERE name = ?", [channel]);
  }

  /** WebSocket connections of this tenant. */
  async connections(): Promise<number> {
    const rows = await this.select("SHOW STATUS");
    return Number(rows.find((row) => row["Variable_name"] === "user_online")?.["Value"]);
  }

  /** Private messages nobody has acknowledged yet. */
  async unpaid(user: number): Promise<number> {
    return (await this.select("SELECT * FROM users_messages WHERE id = ?", [user])).length;
  }

  async close(): Promise<void> {
    const { connection } = this;
    this.connection = undefined;
    connection?.destroy();
  }

  private async open(): Promise<Connection> {
    if (this.connection) return this.connection;
    const { sqlPort } = this.server;
    const connection = await createConnection({
      host: "127.0.0.1", port: sqlPort, user: "root", password: PASSWORD, database: `db_${this.dev}`, charset: "utf8mb4",
    });
    // The server was stopped: the next statement opens another one.
    connection.on("error", () => { this.connection = undefined; });
    connection.on("end", () => { this.connection = undefined; });
    this.connection = connection;
    return connection;
  }
}

function text(body: unknown): string {
  return typeof body === "string" ? body : JSON.stringify(body);
}
