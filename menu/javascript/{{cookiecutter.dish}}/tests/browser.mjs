/** Real Chromium, and a static file server with nothing but the files of the page. */
import assert from "node:assert/strict";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { chromium } from "playwright-core";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

/** Chromium alone, with no network but this machine. */
export async function launch() {
  const { CHROMIUM } = process.env;
  assert.ok(CHROMIUM, "no Chromium: set CHROMIUM to the path of one");
  const local = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1";
  const args = process.getuid() === 0 ? [local, "--no-sandbox"] : [local];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

/** A server of `build/site`, on a port of its own; `replaced` are files that are others now. */
export async function serve(replaced = {}) {
  const server = createServer((request, response) => {
    const name = request.url === "/" ? "index.html" : request.url.slice(1);
    response.setHeader("Content-Type", TYPES[extname(name)] ?? "application/octet-stream");
    if (name in replaced) return response.end(replaced[name]);
    const isThere = /^[\w.-]+$/.test(name) && existsSync(`build/site/${name}`);
    if (!isThere) return response.writeHead(404).end();
    createReadStream(`build/site/${name}`).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}/`, stop };
}
