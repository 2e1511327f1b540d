// Runs one file in onnxruntime-node: node onnx_runtime_node.cjs MODEL, asked by lines of JSON.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const ort = require("onnxruntime-node");

const answer = (content) => process.stdout.write(JSON.stringify(content) + "\n");

async function run(session, { images, scores, shape, duration_s }) {
  const x = new Float32Array(new Uint8Array(fs.readFileSync(images)).buffer);
  const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", x, shape) };
  const latencies_ms = [];
  const deadline = performance.now() + 1e3 * duration_s;
  let y;
  do {
    const start = performance.now();
    y = (await session.run(feeds))[session.outputNames[0]].data;
    latencies_ms.push(performance.now() - start);
  } while (performance.now() < deadline);
  fs.writeFileSync(scores, new Uint8Array(y.buffer, y.byteOffset, y.byteLength));
  return { latencies_ms };
}

async function main() {
  try {
    const options = { intraOpNumThreads: 1, executionProviders: ["cpu"], logSeverityLevel: 3 };
    const session = await ort.InferenceSession.create(process.argv[2], options);
    answer({});
    for await (const line of readline.createInterface({ input: process.stdin })) {
      answer(await run(session, JSON.parse(line)));
    }
  } catch (error) {
    answer({ failed: String(error.message ?? error) });
  }
}

main();
