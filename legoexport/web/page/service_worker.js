// Answers from the device with one version of the site, whole and proved by digests, where there is
// no network. Where there is one, opening the page asks for site.json first: what the server has is
// what is shown. The line above states SITE, the SHA-256 of that file.

import { at, cacheName, cachePrefix, digest, fetchFile, keep } from "./files.js";

const CACHE = cacheName(SITE);
const DESCRIPTION = "site.json";
// A network that says nothing for so long is none.
const PATIENCE_MS = 4000;
const FIRST_SERVER_ERROR = 500;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(at("./"))) event.respondWith(answer(event));
});

async function install() {
  await fill();
  await self.skipWaiting();
}

/** Take over the open pages from an older version, and remove that. */
async function activate() {
  const others = (await caches.keys()).filter((name) => name.startsWith(cachePrefix()) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(event) {
  const { request } = event;
  if (request.mode === "navigate") {
    if (await isReplaced()) await caches.delete(CACHE);
    else event.waitUntil(fill().catch(() => {})); // a browser short of room may have removed it
  }
  return (await caches.match(address(request.url), { cacheName: CACHE })) ?? fetch(request);
}

function address(url) {
  const { origin, pathname } = new URL(url);
  return origin + pathname === at("./") ? at("index.html") : origin + pathname;
}

/** Whether the server has something else by now, be it a new version or none. */
async function isReplaced() {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(at(DESCRIPTION), { cache: "no-store", signal });
    if (response.status >= FIRST_SERVER_ERROR) return false;
    return (await digest(await response.arrayBuffer())) !== SITE;
  } catch {
    return false;
  }
}

/** Load what is not there yet. */
async function fill() {
  const cache = await caches.open(CACHE);
  const site = await kept(cache, DESCRIPTION, SITE);
  const { digests, on_demand: later } = await site.json();
  for (const [name, sha256] of Object.entries(digests)) {
    if (!later.includes(name)) await kept(cache, name, sha256);
  }
}

async function kept(cache, name, sha256) {
  if (!(await cache.match(at(name)))) {
    const { content, headers } = await fetchFile(name);
    await keep(cache, name, content, sha256, headers);
  }
  return cache.match(at(name));
}
