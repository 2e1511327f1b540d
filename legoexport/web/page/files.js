// Files that lie beside the page, as bytes.

const GZIP = [0x1f, 0x8b];
const WASM = [0x00, 0x61, 0x73, 0x6d];

/** The address of a file, by its path in the site. */
export function at(name) {
  return new URL(name, import.meta.url).href;
}

/** A file as the server gives it. */
export async function load(name) {
  const response = await fetch(at(name), { cache: "no-store" });
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
  return response.arrayBuffer();
}

/** A WebAssembly binary, which lies there only compressed. A server that sends compressed variants
 *  by itself knows its name; any other has the variant, which is unpacked here. */
export async function loadBinary(name) {
  const response = await fetch(at(name), { cache: "no-store" });
  const content = response.ok ? await response.arrayBuffer() : null;
  return content && startsWith(content, WASM) ? content : unpack(await load(`${name}.gz`));
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
