// The page: load what lies beside it, prove a session, then classify and measure with it.

import { likeliest } from "./answer.js";
import { findWebGpu, isolationProblem, threadChoices } from "./device.js";
import { Engine } from "./engine_client.js";
import { stayOffline } from "./offline.js";
import { Pad } from "./pad.js";
import { normalize, readFile, show, toPixels, toPlanes } from "./picture.js";
import { loadRuntime, runtimeFile } from "./runtime.js";
import { loadSite } from "./site.js";
import { broken, checking, conclude, damaged, sessionName } from "./verdict.js";
import * as view from "./view.js";

const { byId } = view;
const MOST_DRAWN = 64;
const INTEGERS_TEXT = "The file computes in int8. The bundle holds images and what its integers give for them. This device repeats them: error \u2264 limit, the same top-1, and few images that a step of an integer moved.";

let site;
let current = null;
let picture = null;
let pad = null;

start().catch((error) => view.showVerdict(broken("This page does not start", error), "LegoNet"));

async function start() {
  view.note("isolation-note", isolationProblem());
  loadRuntime("wasm"); // the first session is on it; meanwhile the model is loaded
  site = await loadSite();
  const { model } = site.description;
  byId("model-line").textContent = `${model.name}, ${(model.size_bytes / 1e6).toPrecision(3)} MB`;
  offerRuntimes(await findWebGpu());
  if (site.damage.includes(model.file)) {
    view.showVerdict(damaged(site.damage), model.name);
    return;
  }
  acceptPictures();
  if (site.description.parity?.sets.some(({ integers }) => integers)) {
    byId("parity-title").textContent = "Parity with the file's integers";
    byId("parity-text").textContent = INTEGERS_TEXT;
  }
  byId("measure").addEventListener("click", measure);
  for (const id of ["backend", "threads"]) byId(id).addEventListener("change", openSession);
  await openSession();
}

function offerRuntimes({ adapter, reason }) {
  const { counts, preferred } = threadChoices();
  view.fillSelect("backend", [
    { value: "wasm", text: "WebAssembly" },
    { value: "webgpu", text: "WebGPU", disabled: !adapter },
  ], "wasm");
  view.fillSelect("threads", counts.map((n) => ({ value: String(n), text: String(n) })), String(preferred));
  byId("webgpu-note").textContent = reason ?? "WebGPU: what it does not take runs on WebAssembly.";
  const { model, runtime_version: version } = site.description;
  view.showDetails({
    "Model SHA-256": model.sha256,
    "Input": `1 x ${model.input_shape.join(" x ")}`,
    "ONNX Runtime Web": version,
    "Logical cores": navigator.hardwareConcurrency,
    "Cross-origin isolated": self.crossOriginIsolated,
    "WebGPU": adapter ?? reason,
    "Browser": navigator.userAgent,
  });
}

/** Open a session as chosen, prove it, and only then classify with it. */
async function openSession() {
  const backend = byId("backend").value;
  byId("threads").disabled = backend === "webgpu";
  const threads = backend === "webgpu" ? 1 : Number(byId("threads").value);
  current?.engine.close();
  const session = { engine: new Engine(), name: sessionName(backend, threads), verdict: null };
  current = session;
  setVerdict(session, checking(session.name));
  view.showParity([]);
  try {
    const { model: content, description: { model: description } } = site;
    const binary = await loadRuntime(backend);
    const opened = await session.engine.ask("open", { backend, threads, binary, content, description });
    session.name = sessionName(backend, opened.threads);
    await prove(session);
    await classify();
    await keepSite(backend);
  } catch (error) {
    setVerdict(session, broken(session.name, error));
  }
}

/** Keep what this session needs, so that the page opens without a network from now on. */
async function keepSite(backend) {
  if (site.damage.length) return;
  const { model, parity } = site.description;
  const loaded = [[model.file, site.model], await runtimeFile(backend)];
  if (parity) loaded.push([parity.file, site.golden]);
  await stayOffline(site, loaded, () => {
    view.note("offline-note", "This page is kept on the device: it opens without a network.");
  });
}

async function prove(session) {
  const { parity } = site.description;
  if (site.damage.length) {
    setVerdict(session, damaged(site.damage));
    return;
  }
  const verdicts = parity && (await session.engine.ask("verify", { sets: parity.sets, content: site.golden }));
  if (session !== current) return;
  if (verdicts) view.showParity(verdicts);
  else byId("parity-text").textContent = "No bundle: legoexport verify --save-bundle DIR makes one, legoexport web --bundle DIR takes it.";
  setVerdict(session, conclude(session.name, verdicts));
}

function setVerdict(session, verdict) {
  if (session !== current) return;
  session.verdict = verdict;
  byId("measure").disabled = verdict.state === "wait";
  view.showVerdict(verdict, site.description.model.name);
}

/** Measure, then prove once more: what computes wrong after many runs is caught as well. */
async function measure() {
  const session = current;
  byId("measure").disabled = true;
  byId("measure-note").textContent = `Measuring ${session.name}…`;
  try {
    const times = await session.engine.ask("measure");
    await prove(session);
    if (session === current) showTimes(session, times);
  } catch (error) {
    setVerdict(session, broken(session.name, error));
  }
}

function showTimes(session, times) {
  view.addLatency(session.name, times, session.verdict.state);
  const coarse = times.step > times.median / 20;
  byId("measure-note").textContent = coarse
    ? `The browser's clock steps by ${times.step.toPrecision(2)} ms, so single runs are known no better than that.`
    : "";
}

function acceptPictures() {
  const { model, pixels } = site.description;
  const assumed = "Colours are scaled to [-1, 1] because the page was built without --mean and --std. If training did otherwise, answers are wrong.";
  view.note("pixels-note", pixels.stated ? null : assumed);
  byId("file").addEventListener("change", ({ target }) => takeFile(target.files[0]));
  byId("invert").addEventListener("change", () => {
    picture = picture && { ...picture };
    classify();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    takeFile(event.dataTransfer.files[0]);
  });
  const [c, h, w] = model.input_shape;
  byId("invert-line").hidden = c !== 1;
  if (c === 1 && Math.max(h, w) <= MOST_DRAWN) offerPad(model.input_shape);
}

function offerPad(shape) {
  pad = new Pad(byId("pad"), () => {
    picture = { planes: toPlanes(pad.image(shape), shape), drawn: true };
    classify();
  });
  byId("pad").addEventListener("pointerdown", () => { byId("pad-hint").hidden = true; });
  byId("clear").addEventListener("click", clear);
  byId("pad-box").hidden = byId("clear").hidden = false;
}

function clear() {
  pad?.clear();
  picture = null;
  byId("answer").setAttribute("aria-busy", "false");
  byId("pad-hint").hidden = false;
  view.clearAnswer();
}

async function takeFile(file) {
  if (!file) return;
  clear();
  try {
    const shape = site.description.model.input_shape;
    picture = { planes: toPlanes(await readFile(file, shape), shape), drawn: false };
  } catch {
    byId("answer-empty").textContent = `${file.name} is not a picture that this browser reads.`;
    return;
  }
  byId("pad-hint").hidden = true;
  await classify();
}

/** Classify the picture with the current session, as soon as that has been proved. */
async function classify() {
  const session = current;
  const asked = picture;
  if (!asked || session.verdict.state === "wait") return;
  byId("answer").setAttribute("aria-busy", "true");
  const { model, pixels, labels } = site.description;
  const inverted = byId("invert").checked && !asked.drawn;
  const planes = inverted ? asked.planes.map((value) => 1 - value) : asked.planes;
  byId("seen").hidden = false;
  show(byId("seen-canvas"), planes, model.input_shape);
  const taken = model.takes_pixels ? toPixels(planes, model.input_shape) : normalize(planes, pixels);
  const given = await session.engine.ask("classify", { picture: taken });
  // Meanwhile there may be another picture or none, or another session.
  if (session !== current || asked !== picture) return;
  const classes = likeliest(given, model.gives_probabilities);
  view.showAnswer(classes, labels, session.name, session.verdict.state !== "bad");
  byId("answer").setAttribute("aria-busy", "false");
}
