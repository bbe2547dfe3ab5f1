// A server that is none: accepts WebSockets and says whatever a test wants, or ends connections at once. Counts who comes.

import { createHash } from "node:crypto";
import { createServer, type Server as HttpServer } from "node:http";
import type { Duplex } from "node:stream";
import { freePort } from "./ports.js";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** An unmasked frame with FIN; `opcode` 1: text, 2: binary. */
export function frame(payload: string | Buffer, opcode = 1): Buffer {
  const body = Buffer.from(payload);
  const head = body.length < 126 ? Buffer.from([0x80 | opcode, body.length]) : Buffer.alloc(4);
  if (body.length >= 126) {
    head[0] = 0x80 | opcode;
    head[1] = 126;
    head.writeUInt16BE(body.length, 2);
  }
  return Buffer.concat([head, body]);
}

/** F1 as a server of version 5 says it. */
export const HELLO = frame(JSON.stringify({
  pipe: "sys", event: "serverInfo", server: "fake 1", authorized: false, data: "", protocol: 5, message_send_time: 1,
}));

export class FakeServer {
  /** When somebody came, milliseconds. */
  readonly visits: number[] = [];

  private readonly open = new Set<Duplex>();

  private constructor(private readonly http: HttpServer, readonly node: string) {}

  /** `speak` gets each connection after its handshake; undefined: connections end without one. */
  static async start(speak: ((socket: Duplex) => void) | undefined): Promise<FakeServer> {
    const port = await freePort();
    const http = createServer((_, response) => response.writeHead(404).end());
    const fake = new FakeServer(http, `127.0.0.1:${port}`);
    http.on("upgrade", (request, socket) => {
      fake.visits.push(Date.now());
      fake.open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => fake.open.delete(socket));
      if (!speak) {
        socket.destroy();
        return;
      }
      const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"] ?? ""}${GUID}`).digest("base64");
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
      speak(socket);
    });
    await new Promise<void>((resolve) => { http.listen(port, "127.0.0.1", resolve); });
    return fake;
  }

  async dispose(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    this.http.closeAllConnections();
    await new Promise((resolve) => { this.http.close(resolve); });
  }
}
