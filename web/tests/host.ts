// A host of static files for tests.

import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const TYPES: Record<string, string> = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html", ".json": "application/json" };

export interface Host {
  /** Ends in a slash. */
  address: string;
  close(): void;
}

/** Serve folders: their files are at the addresses that the keys begin. */
export async function host(folders: Record<string, string>): Promise<Host> {
  const server = createServer((request, response) => {
    const name = decodeURIComponent((request.url ?? "/").split("?")[0]).slice(1);
    const [start, folder] = Object.entries(folders).find(([start]) => name.startsWith(start)) ?? ["", ""];
    const path = join(folder, name.slice(start.length));
    if (name === "") return void response.setHeader("Content-Type", "text/html").end("<!doctype html><title>test</title>");
    if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
    response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream").end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}
