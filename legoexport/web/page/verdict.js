// From what was checked to what is said: one place decides what is green and what is red.

/** Three significant digits. */
export function short(value) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5 ? value.toExponential(2) : value.toPrecision(3);
}

/** The runtime of a session in words. */
export function sessionName(backend, threads) {
  if (backend === "webgpu") return "WebGPU";
  return `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** What the banner says about the verdicts of all sets; `null` verdicts mean no bundle. */
export function conclude(name, verdicts) {
  if (verdicts === null) {
    return {
      state: "none",
      title: "Not proved",
      text: "This page was built without a parity bundle, so nothing shows whether this device computes right.",
    };
  }
  const wrong = verdicts.filter((one) => one.passed !== true);
  if (wrong.length || !verdicts.length) return wrongNumbers(name, wrong);
  const worst = verdicts.reduce((a, b) => (b.error / b.limit > a.error / a.limit ? b : a));
  const count = verdicts.reduce((sum, one) => sum + one.count, 0);
  const top1 = verdicts.reduce((sum, one) => sum + one.top1, 0);
  return {
    state: "good",
    title: "Parity reached",
    text: `${name}: error ${short(worst.error)}, limit ${short(worst.limit)}; top-1 ${top1}/${count} images${classesText(verdicts)}${movedText(verdicts)}.`,
  };
}

/** Of files that give the likeliest classes: how many of those are the golden ones. */
function classesText(verdicts) {
  if (!verdicts.every((one) => one.ranks)) return "";
  const sum = (name) => verdicts.reduce((total, { ranks }) => total + ranks[name], 0);
  const tied = sum("tied") ? `, ${sum("tied")} tied` : "";
  return `; classes ${sum("same")}/${sum("count")}${tied}`;
}

/** Of files that compute in int8: how many images a step of an integer moved. */
function movedText(verdicts) {
  const moved = verdicts.reduce((sum, one) => sum + (one.moved ?? 0), 0);
  return moved ? `; ${moved} moved by a step of an integer` : "";
}

function wrongNumbers(name, wrong) {
  const parts = wrong.map((one) => {
    const factor = one.error / one.limit;
    const size = factor > 1 ? `, ${short(factor)} times the limit` : "";
    return `${one.name}: error ${short(one.error)}, limit ${short(one.limit)}${size}, top-1 ${one.top1}/${one.count}${wrongClasses(one)}${excessText(one)}`;
  });
  const truth = wrong.some((one) => Number.isInteger(one.moved)) ? "the integers of the file give" : "PyTorch computes";
  return {
    state: "bad",
    title: "WRONG NUMBERS",
    text: `${name} does not compute what ${truth}. ${parts.join("; ") || "The bundle is empty"}. Trust nothing on this page.`,
  };
}

function wrongClasses({ ranks }) {
  return ranks?.wrong ? `, ${ranks.wrong} of ${ranks.count} classes wrong` : "";
}

function excessText({ moved, excess, count }) {
  return excess ? `, ${moved} of ${count} images moved by integers, ${excess} more than may be` : "";
}

/** What the banner says where files are not those of the page. */
export function damaged(files) {
  return {
    state: "bad",
    title: "WRONG FILES",
    text: `${files.join(" and ")}: changed since this page was built (SHA-256). Nothing is proved; trust nothing on this page.`,
  };
}

/** What the banner says where something failed outright. */
export function broken(what, error) {
  return { state: "bad", title: "It does not run here", text: `${what}: ${error.message}` };
}

/** What the banner says while a check is under way. */
export function checking(name) {
  return { state: "wait", title: "Checking…", text: `${name}: loading, then repeating the bundle.` };
}
