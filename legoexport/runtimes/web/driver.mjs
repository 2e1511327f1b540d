// One model in onnxruntime-web, told what to do by lines of JSON; the protocol of bench/worker.py.
//
// A request is {"do": NAME, ...arguments} on stdin; the answer is {"done": {...}} or
// {"failed": MESSAGE} on stdout. Arrays travel in files of raw little-endian numbers.
//
//     node driver.mjs FOLDER    with onnxruntime-web in FOLDER/node_modules

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import readline from 'node:readline';

const SEED = 0;
const MESSAGES_COUNT = 4;
const ARRAYS = { float32: Float32Array, uint8: Uint8Array };
// V8 runs WebAssembly as its quick compiler leaves it, up to three times slower, until its
// optimizing one has gone over what is busy: after 0.2 to 0.6 s of work for VGG16 at 32 x 32, in
// Node 20. Counted as processor time: other work on the machine must not cut it short.
const WARM_UP_MICROSECONDS = 1.5e6;

// The library logs, and prints its profile, through console; stdout is for answers alone.
const printed = [];
for (const name of ['debug', 'error', 'info', 'log', 'warn']) {
  console[name] = (...words) => printed.push(words.join(' '));
}

const require = createRequire(path.join(path.resolve(process.argv[2]), 'package.json'));
const ort = require('onnxruntime-web');
ort.env.wasm.numThreads = 1;
ort.env.wasm.proxy = false;

// An empty model is refused, but only once the WebAssembly is compiled: that is no cost of a model.
await ort.InferenceSession.create(new Uint8Array()).catch(() => {});

let session = null;
let settings = {};
let feeds = {};

async function load({ path: file, provider }) {
  settings = { file, provider };
  const before = process.memoryUsage.rss();
  const start = performance.now();
  session = await createSession({});
  const sessionMs = performance.now() - start;
  const sizes = { before_bytes: before, after_bytes: process.memoryUsage.rss() };
  return { session_ms: sessionMs, ...sizes };
}

// Standard normal float32, or bytes, the same in every process; run until the code is as fast as it
// gets.
async function feed({ inputs }) {
  feeds = {};
  const draw = normal(SEED);
  for (const [name, type, shape] of inputs) {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = ARRAYS[type].from({ length: size }, type === 'uint8' ? () => 64 * draw() : draw);
    feeds[name] = new ort.Tensor(type, values, shape);
  }
  const start = process.cpuUsage();
  let spent;
  do {
    await infer();
    spent = process.cpuUsage(start);
  } while (spent.user + spent.system < WARM_UP_MICROSECONDS);
  return {};
}

async function measure({ duration_s: durationS }) {
  await runMs();
  const latenciesMs = [];
  const deadline = performance.now() + durationS * 1e3;
  while (latenciesMs.length === 0 || performance.now() < deadline) {
    latenciesMs.push(await runMs());
  }
  return { latencies_ms: latenciesMs };
}

// Runs the images in one file once, and leaves every output in a file of its own in a folder.
async function run({ source, type, shape, folder }) {
  const bytes = fs.readFileSync(source);
  const values = new ARRAYS[type](new Uint8Array(bytes).buffer);
  feeds = { [session.inputNames[0]]: new ort.Tensor(type, values, shape) };
  const results = await infer();
  const outputs = session.outputNames.map((name, i) => {
    const { type, dims, data } = results[name];
    const file = path.join(folder, `output_${i}.bin`);
    fs.writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { name, type, shape: dims, file };
  });
  return { outputs };
}

function memory() {
  return { peak_bytes: peakBytes() };
}

// Profiles in a session that replaces the first; the first run warms up.
async function profile({ folder, runs_count: runsCount }) {
  await session.release();
  session = await createSession({ enableProfiling: true });
  for (let i = 0; i <= runsCount; i += 1) {
    await session.run(feeds);
  }
  printed.length = 0;
  session.endProfiling();
  const lines = printed.slice(printed.indexOf('['));
  const file = path.join(folder, 'profile.json');
  fs.writeFileSync(file, lines.slice(0, lines.indexOf(']') + 1).join('\n'));
  return { profile: file, graph: null };
}

async function createSession(extra) {
  const options = { executionProviders: [settings.provider], ...extra };
  return ort.InferenceSession.create(fs.readFileSync(settings.file), options);
}

// XNNPACK's Gemm takes an open batch for 1 and leaves the other images out without a word
// (onnxruntime issue 31153).
async function infer() {
  const results = await session.run(feeds);
  const output = results[session.outputNames[0]];
  const batch = feeds[session.inputNames[0]].dims[0];
  if (batch > 1 && output.dims[0] === 1) {
    const cause = `${settings.provider} takes the open batch for 1`;
    throw new Error(`1 output for ${batch} images: ${cause}; fix it with convert --batch ${batch}`);
  }
  return results;
}

async function runMs() {
  const start = performance.now();
  await session.run(feeds);
  return performance.now() - start;
}

function peakBytes() {
  try {
    const lines = fs.readFileSync('/proc/self/status', 'utf8').split('\n');
    return Number(lines.find((line) => line.startsWith('VmHWM')).split(/\s+/)[1]) * 1024;
  } catch {
    // Not on Linux, where the maxRSS of a new process starts at its parent's memory.
    return process.resourceUsage().maxRSS * 1024;
  }
}

function explain(error) {
  // The address of a C++ exception, out of reach: an unknown operator, say, or no memory left.
  if (typeof error === 'number') {
    return 'onnxruntime-web threw an exception that it does not explain';
  }
  return String(error.message ?? error);
}

// Mulberry32 for uniform numbers, Box and Muller's transform for normal ones.
function normal(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const ACTIONS = { load, feed, measure, run, memory, profile };

process.on('SIGINT', () => {}); // Ctrl-C reaches both; the parent decides
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { do: name, ...request } = JSON.parse(line);
  printed.length = 0;
  let answer;
  try {
    answer = { done: await ACTIONS[name](request) };
  } catch (error) {
    answer = { failed: [explain(error), ...printed.slice(-MESSAGES_COUNT)].join('\n') };
  }
  fs.writeSync(1, `${JSON.stringify(answer)}\n`);
}
