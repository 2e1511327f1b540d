// Compress files as small as gzip and brotli go: node pack.mjs FROM TO NAME...
// It takes a minute for each ten megabytes and is done once. The files are compressed at the same time.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const LARGEST_WINDOW = 24;

const [from, to, ...names] = process.argv.slice(2);
await Promise.all(names.map(pack));

async function pack(name) {
  const content = readFileSync(join(from, name));
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: LARGEST_WINDOW,
    [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
  };
  writeFileSync(join(to, `${name}.gz`), await promisify(gzip)(content, { level: 9 }));
  writeFileSync(join(to, `${name}.br`), await promisify(brotliCompress)(content, { params }));
}
