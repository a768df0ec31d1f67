// Keeps the files of the page, so that it works without a network from the second visit on.
// files.js, which `whoplays web build` writes, has their names and a version that changes with their content.

importScripts("files.js");

const { version, files } = self.site;
const scope = self.registration.scope;
const kept = `whoplays ${scope} ${version}`;
// What lets a page use several threads, which static hosts cannot be configured to send.
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

async function keep() {
  const cache = await caches.open(kept);
  await cache.addAll(files.map((name) => new Request(new URL(name, scope), { cache: "no-cache" })));
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(`whoplays ${scope} `) && name !== kept).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const { pathname } = new URL(request.url);
  const address = pathname === new URL(scope).pathname ? new URL("index.html", scope) : request;
  const found = await (await caches.open(kept)).match(address, { ignoreSearch: true });
  if (!found) return fetch(request);
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  return new Response(found.body, { status: found.status, headers });
}

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(scope)) event.respondWith(answer(event.request));
});
