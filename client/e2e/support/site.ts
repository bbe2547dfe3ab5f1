// A customer's web site: another origin than the server, with pages that include the client file from the server's
// host, as existing sites do (S62).

import { createServer, type Server as HttpServer } from "node:http";
import { freePort } from "./ports.js";

export class Site {
  private readonly pages = new Map<string, string>();
  private count = 0;

  private constructor(private readonly http: HttpServer, readonly port: number) {}

  static async start(): Promise<Site> {
    const port = await freePort();
    const http = createServer((request, response) => {
      const html = site.pages.get((request.url ?? "").replace(/\?.*/, ""));
      // Browsers ask for an icon by themselves.
      const missing = request.url === "/favicon.ico" ? 204 : 404;
      response.writeHead(html === undefined ? missing : 200, { "Content-Type": "text/html; charset=utf-8" });
      response.end(html ?? "");
    });
    await new Promise<void>((resolve) => { http.listen(port, "127.0.0.1", resolve); });
    const site = new Site(http, port);
    return site;
  }

  /** Puts a page on the site and returns its path. */
  publish(html: string): string {
    this.count += 1;
    const path = `/page-${this.count}.html`;
    this.pages.set(path, html);
    return path;
  }

  async dispose(): Promise<void> {
    this.http.closeAllConnections();
    await new Promise((resolve) => { this.http.close(resolve); });
  }
}
