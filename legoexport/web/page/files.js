// Files that lie beside the page, for the page and for its service worker: loaded, and kept on the
// device.

const GZIP = [0x1f, 0x8b];
const WASM = [0x00, 0x61, 0x73, 0x6d];

/** The address of a file, by its path in the site. */
export function at(name) {
  return new URL(name, import.meta.url).href;
}

/** The content of a file, and the headers that it came with. */
export async function fetchFile(name) {
  return name.endsWith(".wasm") ? fetchBinary(name) : fetchPlain(name);
}

/** The content of a file. */
export async function load(name) {
  return (await fetchFile(name)).content;
}

/** The cache of one version of this site; `digest` is the SHA-256 of its site.json, which has those
 *  of all other files. */
export function cacheName(digest) {
  return `${cachePrefix()}${digest}`;
}

/** How the caches of all versions of this site begin. */
export function cachePrefix() {
  return `legoexport ${at("./")} `;
}

/** Hexadecimal SHA-256 of an ArrayBuffer; the browser's own, so in secure contexts only. */
export async function digest(content) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Put a file into a cache, if it is the right one. */
export async function keep(cache, name, content, sha256, headers = {}) {
  if (await digest(content) !== sha256) throw new Error(`${name}: changed since this page was built`);
  const kept = new Headers(headers);
  // What is kept is unpacked. Threads need the isolation, whatever the server sends.
  for (const transfer of ["Content-Encoding", "Content-Length", "Vary"]) kept.delete(transfer);
  kept.set("Cross-Origin-Opener-Policy", "same-origin");
  kept.set("Cross-Origin-Embedder-Policy", "require-corp");
  await cache.put(at(name), new Response(content, { headers: kept }));
}

async function fetchPlain(name) {
  const response = await fetch(at(name), { cache: "no-store" });
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
  return { content: await response.arrayBuffer(), headers: response.headers };
}

/** A WebAssembly binary, which lies there only compressed. A server that sends compressed variants
 *  by itself knows its name; any other has the variant, which is unpacked here. */
async function fetchBinary(name) {
  const headers = { "Content-Type": "application/wasm" };
  const response = await fetch(at(name), { cache: "no-store" });
  const content = response.ok ? await response.arrayBuffer() : null;
  if (content && startsWith(content, WASM)) return { content, headers };
  return { content: await unpack((await fetchPlain(`${name}.gz`)).content), headers };
}

/** Some servers tell the browser of a .gz file that it is encoded so: then it is unpacked already. */
async function unpack(content) {
  if (!startsWith(content, GZIP)) return content;
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

function startsWith(content, start) {
  const bytes = new Uint8Array(content, 0, Math.min(start.length, content.byteLength));
  return bytes.length === start.length && start.every((byte, i) => bytes[i] === byte);
}
