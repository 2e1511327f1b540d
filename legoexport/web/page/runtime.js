// The binaries of ONNX Runtime: one for WebAssembly, a larger one that has WebGPU as well. Each is
// loaded when somebody first asks for it, and kept for other numbers of threads.

import { load } from "./files.js";

const BINARIES = {
  wasm: "ort/ort-wasm-simd-threaded.wasm",
  webgpu: "ort/ort-wasm-simd-threaded.asyncify.wasm",
};
const loading = new Map();

/** The binary of a backend, as an ArrayBuffer. */
export function loadRuntime(backend) {
  if (!loading.has(backend)) {
    const content = load(BINARIES[backend]);
    loading.set(backend, content);
    content.catch(() => loading.delete(backend));
  }
  return loading.get(backend);
}

/** The binary of a backend with its path in the site. */
export async function runtimeFile(backend) {
  return [BINARIES[backend], await loadRuntime(backend)];
}
