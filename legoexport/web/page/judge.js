// The rule of legoexport's parity check: every output finite, the largest error at most the limit,
// and the same top-1 wherever the golden scores do not tie within the limit. Where the largest scores
// come with their classes, a class is right that ranks there, or whose golden score is within the
// limit of the one that belongs there, if no class of the row comes twice. Of a file that computes in
// int8 the golden outputs are those of its integers: so many images at most may be moved by a step.

// A limit that not even two equal scores are within.
const NO_TIE = -1;

/** Judge one set of images: `golden` and `actual` are Float32Array of `count` x `classes`; `integers`
 *  is null, or says which error leaves an image unmoved and how many may be moved. */
export function judge(golden, actual, classes, limit, integers = null) {
  if (actual.length !== golden.length || !(limit > 0)) {
    return { passed: false, error: NaN, limit, top1: 0, count: golden.length / classes };
  }
  const error = largestError(golden, actual);
  const { same, wrong, count } = compareTop1(golden, actual, classes, limit);
  const moved = integers && countMoved(golden, actual, classes, integers.same);
  const excess = moved === null ? 0 : Math.max(0, moved - integers.moved_allowed_count);
  // Written so that NaN fails.
  const passed = error <= limit && wrong === 0 && excess === 0 && count > 0;
  return { passed, error, limit, top1: same, count, moved, excess };
}

function countMoved(golden, actual, classes, same) {
  let moved = 0;
  for (let from = 0; from < golden.length; from += classes) {
    const error = largestError(golden.subarray(from, from + classes), actual.subarray(from, from + classes));
    if (!(error <= same)) moved++;
  }
  return moved;
}

/** Judge the largest scores and their classes: `golden` and `actual` hold `scores` and `indices` of
 *  `count` x `top`; `golden` also `float32Indices`, and `among`, the scores of all classes. */
export function judgeTop(golden, actual, top, limit, integers = null) {
  const scores = judge(golden.scores, actual.scores, top, limit, integers);
  const ranks = compareRanks(golden, actual.indices, top, scores.passed ? limit : NO_TIE);
  return { ...scores, passed: scores.passed && ranks.wrong === 0, top1: ranks.first, ranks };
}

function compareRanks(golden, actual, top, limit) {
  const ranks = { first: 0, same: 0, tied: 0, wrong: 0, count: golden.indices.length };
  for (let i = 0; i < ranks.count; i++) {
    const row = Math.floor(i / top);
    if (actual[i] === golden.indices[i]) {
      ranks.same++;
      if (i % top === 0) ranks.first++;
    } else if (actual[i] === golden.float32Indices[i] || ties(golden, actual, i, row, top, limit)) ranks.tied++;
    else ranks.wrong++;
  }
  return ranks;
}

function ties({ scores, among, indices }, actual, i, row, top, limit) {
  const classes = (among.length * top) / indices.length;
  const isClass = actual[i] >= 0 && actual[i] < classes;
  const distinct = new Set(actual.subarray(row * top, (row + 1) * top)).size === top;
  return isClass && distinct && Math.abs(among[row * classes + actual[i]] - scores[i]) <= limit;
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
