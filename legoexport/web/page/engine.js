// A worker that owns one session of ONNX Runtime: it runs, proves and measures it. A worker, so
// that the page stays alive meanwhile, and so that a change of threads gets a fresh runtime.

import { judge, judgeTop } from "./judge.js";
import { clockStep, summarize } from "./statistics.js";

const LOADERS = { wasm: "./ort/ort.wasm.min.mjs", webgpu: "./ort/ort.webgpu.min.mjs" };
const WARM_UP_MS = 400;
const MEASURE_MS = 3000;
const FEWEST_RUNS = 20;
const MOST_RUNS = 2000;

let ort;
let session;
let model;

const tasks = { open, verify, classify, measure };

self.onmessage = async ({ data: { id, task, argument } }) => {
  try {
    self.postMessage({ id, value: await tasks[task](argument) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};

/** Load the runtime and the model; return the threads that it really uses. */
async function open({ backend, threads, binary, content, description }) {
  ort = await import(LOADERS[backend]);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  session = await ort.InferenceSession.create(new Uint8Array(content), {
    executionProviders: [backend],
    graphOptimizationLevel: "all",
  });
  model = description;
  return { threads: ort.env.wasm.numThreads, version: ort.env.versions.web };
}

/** Run every set of the bundle and judge it. */
async function verify({ sets, content }) {
  const verdicts = [];
  for (const set of sets) {
    const images = read(content, set.images, imageArray());
    const actual = await runAll(images, set.images.shape, set.batch_size);
    verdicts.push({ name: set.name, ...judgeSet(set, content, actual) });
  }
  return verdicts;
}

function judgeSet({ outputs, ranking, limit, integers }, content, actual) {
  const scores = read(content, outputs);
  const count = outputs.shape.slice(1).reduce((a, b) => a * b, 1);
  if (!ranking) return judge(scores, actual.scores, count, limit, integers);
  const golden = {
    scores,
    indices: read(content, ranking.indices, Int32Array),
    float32Indices: read(content, ranking.float32_indices, Int32Array),
    among: read(content, ranking.among),
  };
  return judgeTop(golden, actual, count, limit, integers);
}

/** What the network gives for one picture, Float32Array of c*h*w, or Uint8Array of h*w*c where it
 *  takes pixels: `scores`, and `indices` where those are of its likeliest classes. */
async function classify({ picture }) {
  const { scores, indices } = await run(repeated(picture), batchSize());
  const size = scores.length / batchSize();
  return { scores: scores.slice(0, size), indices: indices?.slice(0, size) };
}

/** Latencies of one run after another, the picture's content being of no matter. */
async function measure() {
  const size = model.input_shape.reduce((a, b) => a * b, 1);
  const value = model.takes_pixels ? (_, i) => i % 256 : (_, i) => Math.sin(i);
  const input = repeated(imageArray().from({ length: size }, value));
  const feeds = { [model.input_name]: tensor(input, batchSize()) };
  const warm = performance.now() + WARM_UP_MS;
  while (performance.now() < warm) await once(feeds);
  const times = [];
  const end = performance.now() + MEASURE_MS;
  while (times.length < MOST_RUNS && (times.length < FEWEST_RUNS || performance.now() < end)) {
    const start = performance.now();
    await once(feeds);
    times.push(performance.now() - start);
  }
  const step = clockStep(() => performance.now());
  return { ...summarize(times), step, batch: batchSize() };
}

async function once(feeds) {
  const results = await session.run(feeds, outputNames());
  for (const name of outputNames()) results[name].dispose();
}

async function runAll(images, [count, ...shape], batch) {
  const size = shape.reduce((a, b) => a * b, 1);
  const [scores, indices] = [[], []];
  for (let from = 0; from < count; from += batch) {
    const to = Math.min(count, from + batch);
    const part = await run(images.slice(from * size, to * size), to - from);
    scores.push(...part.scores);
    indices.push(...(part.indices ?? []));
  }
  return { scores: Float32Array.from(scores), indices: Int32Array.from(indices) };
}

async function run(values, batch) {
  const feeds = { [model.input_name]: tensor(values, batch) };
  const results = await session.run(feeds, outputNames());
  const scores = Float32Array.from(await results[model.output_name].getData());
  const ranked = results[model.indices_name];
  // They are int64, for which JavaScript has BigInt.
  const indices = ranked && Int32Array.from(await ranked.getData(), Number);
  for (const name of outputNames()) results[name].dispose();
  return { scores, indices };
}

function outputNames() {
  return [model.output_name, model.indices_name].filter((name) => name !== null);
}

function tensor(values, batch) {
  const [c, h, w] = model.input_shape;
  if (model.takes_pixels) return new ort.Tensor("uint8", values, [batch, h, w, c]);
  return new ort.Tensor("float32", values, [batch, c, h, w]);
}

function imageArray() {
  return model.takes_pixels ? Uint8Array : Float32Array;
}

function batchSize() {
  return model.fixed_batch_size ?? 1;
}

function repeated(picture) {
  const values = new (imageArray())(picture.length * batchSize());
  for (let i = 0; i < batchSize(); i++) values.set(picture, i * picture.length);
  return values;
}

function read(content, { offset_bytes: offset, shape }, Numbers = Float32Array) {
  return new Numbers(content, offset, shape.reduce((a, b) => a * b, 1));
}
