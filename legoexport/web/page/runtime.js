// The binaries of ONNX Runtime: one for WebAssembly, a larger one that has WebGPU as well. Each is
// loaded when somebody first asks for it, and kept for other numbers of threads.

import { loadBinary } from "./files.js";

const BINARIES = {
  wasm: "ort/ort-wasm-simd-threaded.wasm",
  webgpu: "ort/ort-wasm-simd-threaded.asyncify.wasm",
};
const loading = new Map();

/** The binary of a backend, as an ArrayBuffer. */
export function loadRuntime(backend) {
  if (!loading.has(backend)) {
    const content = loadBinary(BINARIES[backend]);
    loading.set(backend, content);
    content.catch(() => loading.delete(backend));
  }
  return loading.get(backend);
}
