// What this browser on this device offers.

const MOST_DEFAULT_THREADS = 4;

/** Thread counts to choose from, and the one that onnxruntime-web would take by itself. */
export function threadChoices() {
  if (!self.crossOriginIsolated) return { counts: [1], preferred: 1 };
  const cores = navigator.hardwareConcurrency || 1;
  const powers = [1, 2, 4, 8, 16].filter((count) => count <= cores);
  const counts = [...new Set([...powers, cores])].sort((a, b) => a - b);
  const half = Math.min(MOST_DEFAULT_THREADS, Math.ceil(cores / 2));
  return { counts, preferred: counts.filter((count) => count <= half).at(-1) };
}

/** Why there is one thread only, or null. */
export function isolationProblem() {
  if (self.crossOriginIsolated) return null;
  const cause = self.isSecureContext
    ? "its server does not send the headers COOP and COEP; legoexport web --serve does"
    : "it came over plain HTTP from another machine; HTTPS or localhost would do";
  return `One thread only: this page is not cross-origin isolated (crossOriginIsolated is false), because ${cause}.`;
}

/** The WebGPU adapter in words, or why there is none. */
export async function findWebGpu() {
  if (!self.isSecureContext) return { reason: "WebGPU needs HTTPS or localhost." };
  if (!navigator.gpu) return { reason: "This browser has no WebGPU." };
  try {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) return { reason: "This browser has WebGPU, but no adapter for it here." };
    const { vendor, architecture, description } = adapter.info ?? {};
    const name = [vendor, architecture, description].filter(Boolean).join(" ");
    return { adapter: name || "an adapter without a name" };
  } catch (error) {
    return { reason: `WebGPU fails here: ${error.message}` };
  }
}
