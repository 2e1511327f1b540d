// The rule of legoexport's parity check: every output finite, the largest error at most the limit,
// and the same top-1 wherever the golden scores do not tie within the limit.

/** Judge one set of images: `golden` and `actual` are Float32Array of `count` x `classes`. */
export function judge(golden, actual, classes, limit) {
  if (actual.length !== golden.length || !(limit > 0)) {
    return { passed: false, error: NaN, limit, top1: 0, count: golden.length / classes };
  }
  const error = largestError(golden, actual);
  const { same, wrong, count } = compareTop1(golden, actual, classes, limit);
  // Written so that NaN fails.
  const passed = error <= limit && wrong === 0 && count > 0;
  return { passed, error, limit, top1: same, count };
}

function largestError(golden, actual) {
  let largest = 0;
  for (let i = 0; i < golden.length; i++) {
    const error = Math.abs(golden[i] - actual[i]);
    if (!(error < Infinity)) return Infinity;
    if (error > largest) largest = error;
  }
  return largest;
}

function compareTop1(golden, actual, classes, limit) {
  let same = 0;
  let wrong = 0;
  const count = golden.length / classes;
  for (let row = 0; row < count; row++) {
    const [from, to] = [row * classes, (row + 1) * classes];
    const best = argmax(golden.subarray(from, to));
    const chosen = argmax(actual.subarray(from, to));
    if (best === chosen) same++;
    else if (!(golden[from + best] - golden[from + chosen] <= limit)) wrong++;
  }
  return { same, wrong, count };
}

/** Position of the largest number, the first of equals. */
export function argmax(scores) {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
  return best;
}

/** Softmax of raw scores. */
export function softmax(scores) {
  const top = scores[argmax(scores)];
  const powers = Array.from(scores, (score) => Math.exp(score - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
