// What lies beside the page: the description, the model, and the golden data. Nothing is taken for
// what it should be: the digests are those of the time when the page was built.

import { load } from "./files.js";
import { sha256 } from "./sha256.js";

/** Read site.json, the model and the golden data; `damage` names a file that is not the right one, and
 *  `digest` is the SHA-256 of site.json. */
export async function loadSite() {
  const content = await load("site.json");
  const description = JSON.parse(new TextDecoder().decode(content));
  const { model: expected, parity } = description;
  const [model, golden] = await Promise.all([
    load(expected.file), parity ? load(parity.file) : null,
  ]);
  const damage = [
    [expected, model],
    ...(parity ? [[parity, golden]] : []),
  ].filter(([{ sha256: right }, found]) => sha256(new Uint8Array(found)) !== right);
  const digest = sha256(new Uint8Array(content));
  return { digest, description, model, golden, damage: damage.map(([{ file }]) => file) };
}
