// Everything that is written into the page. Text goes in as text, never as markup.

import { short } from "./verdict.js";

export const byId = (id) => document.getElementById(id);

/** Fill the banner, and mark the whole page where something is wrong. */
export function showVerdict({ state, title, text }, modelName) {
  byId("verdict").dataset.state = state;
  document.documentElement.dataset.state = state;
  byId("verdict-title").textContent = title;
  byId("verdict-text").textContent = text;
  document.title = state === "bad" ? `✗ ${title} – ${modelName}` : `${modelName} in this browser`;
}

/** Show a note, or hide it where there is nothing to say. */
export function note(id, text) {
  byId(id).textContent = text ?? "";
  byId(id).hidden = !text;
}

/** A row for each set of images of the bundle. */
export function showParity(verdicts) {
  const rows = verdicts.map((one) => row([
    marked(one), short(one.error), short(one.limit), `${one.top1}/${one.count}`,
  ], one.passed));
  byId("parity").tBodies[0].replaceChildren(...rows);
  byId("parity").hidden = rows.length === 0;
}

/** Add a measured latency on top of the others. */
export function addLatency(name, { median, p90, runs, batch }, state) {
  const subject = batch > 1 ? `${name}, ${batch} images a run` : name;
  const cells = [subject, short(median), short(p90), String(runs), parityWord(state)];
  byId("latencies").tBodies[0].prepend(row(cells, state !== "bad"));
  byId("latencies").hidden = false;
}

/** The answer of the network: a bar for each of its likeliest classes, as answer.js has them. */
export function showAnswer(classes, labels, name, trusted) {
  const [best] = classes;
  const line = byId("answer-line");
  line.hidden = false;
  byId("answer-empty").hidden = true;
  line.dataset.label = String(best.index);
  line.replaceChildren(
    element("strong", className(labels, best.index)),
    element("span", `${(100 * best.share).toFixed(1)} %, ${name}`),
  );
  if (!trusted) line.append(element("em", "Do not trust this answer: parity is not reached."));
  byId("answer").dataset.trusted = String(trusted);
  const bars = classes.map(({ index, share, score }) => bar(className(labels, index), share, score));
  byId("bars").replaceChildren(...bars);
}

/** Take the answer away. */
export function clearAnswer() {
  byId("answer-line").hidden = true;
  byId("answer-empty").hidden = false;
  byId("bars").replaceChildren();
  byId("seen").hidden = true;
}

/** Terms and what they are, in the details. */
export function showDetails(facts) {
  const parts = Object.entries(facts).flatMap(([term, value]) => [
    element("dt", term), element("dd", String(value)),
  ]);
  byId("details").replaceChildren(...parts);
}

/** Fill a select with values and texts; some may be disabled. */
export function fillSelect(id, choices, chosen) {
  byId(id).replaceChildren(...choices.map(({ value, text, disabled = false }) => {
    const option = element("option", text);
    option.value = value;
    option.disabled = disabled;
    option.selected = value === chosen;
    return option;
  }));
}

function className(labels, index) {
  return labels[index] ?? `class ${index}`;
}

function bar(name, share, score) {
  const item = document.createElement("li");
  const track = element("span", "", "track");
  const fill = element("span", "", "fill");
  fill.style.width = `${100 * share}%`;
  track.append(fill);
  item.append(element("span", name, "name"), track, element("span", `${(100 * share).toFixed(1)} %`, "share"));
  item.title = `score ${score}`;
  return item;
}

function row(cells, good) {
  const line = document.createElement("tr");
  if (!good) line.className = "bad";
  const parts = cells.map((cell, i) => {
    const part = element(i ? "td" : "th", typeof cell === "string" ? cell : "");
    if (typeof cell !== "string") part.append(cell);
    if (i === 0) part.scope = "row";
    if (i > 0 && i < 4) part.className = "number";
    return part;
  });
  line.append(...parts);
  return line;
}

function marked({ name, passed }) {
  const cell = document.createDocumentFragment();
  cell.append(mark(passed), ` ${name}`);
  return cell;
}

function mark(passed) {
  const sign = passed ? element("span", "✓", "good") : element("span", "✗ WRONG", "wrong");
  sign.setAttribute("role", "img");
  sign.setAttribute("aria-label", passed ? "equal" : "wrong");
  return sign;
}

function parityWord(state) {
  if (state === "good") return mark(true);
  return state === "bad" ? mark(false) : element("span", "not proved", "unproved");
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}
