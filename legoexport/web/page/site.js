// What lies beside the page: the description, the model, and the golden data. Nothing is taken for
// what it should be: the digests are those of the time when the page was built.

import { sha256 } from "./sha256.js";

/** Read site.json, the model and the golden data; `damage` names a file that is not the right one. */
export async function loadSite() {
  const description = await (await read("site.json")).json();
  const model = await bytes(description.model.file);
  const parity = description.parity;
  const golden = parity ? await bytes(parity.file) : null;
  const damage = [
    [description.model, model],
    ...(parity ? [[parity, golden]] : []),
  ].filter(([expected, content]) => sha256(new Uint8Array(content)) !== expected.sha256);
  return { description, model, golden, damage: damage.map(([{ file }]) => file) };
}

async function read(file) {
  const response = await fetch(new URL(file, import.meta.url), { cache: "no-store" });
  if (!response.ok) throw new Error(`${file}: the server answers ${response.status}`);
  return response;
}

async function bytes(file) {
  return (await read(file)).arrayBuffer();
}
