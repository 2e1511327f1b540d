// The page's side of service_worker.js: nothing that the page has loaded is loaded again.

import { at, cacheName, keep } from "./files.js";

/**
 * Keep the site on the device, and call `tell` as soon as the page opens without a network.
 * `loaded` are the large files that the page has already, by their paths in the site.
 */
export async function stayOffline(site, loaded, tell) {
  const workers = navigator.serviceWorker;
  if (!workers) return; // the page came over plain HTTP from another machine
  const name = cacheName(site.digest);
  const check = async () => { if (workers.controller && (await isWhole(name, site))) tell(); };
  workers.oncontrollerchange = check;
  try {
    await keepLoaded(name, site, loaded);
    await check();
    const options = { type: "module", updateViaCache: "none" };
    const registration = await workers.register(at("service_worker.js"), options);
    await registration.update();
  } catch {
    // No network, no room, files that were changed, or a browser that cannot: the page is as it was.
  }
}

async function keepLoaded(name, { description: { digests } }, loaded) {
  const cache = await caches.open(name);
  for (const [file, content] of loaded) {
    if (!(await cache.match(at(file)))) await keep(cache, file, content, digests[file]);
  }
}

async function isWhole(name, { description: { digests, on_demand: later } }) {
  const cache = await caches.open(name);
  const files = Object.keys(digests).filter((file) => !later.includes(file));
  const found = await Promise.all(files.map((file) => cache.match(at(file))));
  return found.every(Boolean);
}
