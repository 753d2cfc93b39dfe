/** Serves the built pages on HOST:PORT until it is told to stop. */

import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { answer } from "./answer.js";

const folder = new URL("../dist/", import.meta.url);
const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder))]));
const configuration = { api: process.env.API_URL ?? "", version: process.env.RELEASE_VERSION ?? "" };

const server = createServer((request, response) => {
  const { status, headers, body } = answer(request, files, configuration);
  response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) });
  response.end(request.method === "HEAD" ? undefined : body);
});
// Longer than the load balancer's 60 s: never is it the target that hangs up first.
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.PORT ?? 8080), process.env.HOST ?? "127.0.0.1");
// Requests on their way are finished; idle connections are closed at once.
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
