// From what the network gives for one picture to its likeliest classes.

import { argmax } from "./judge.js";

// Of all classes, and of those that a file gives because somebody asked for so many.
const MOST_OF_ALL = 5;
const MOST_GIVEN = 20;

/** The likeliest classes, the first before all: `{ index, share, score }`. */
export function likeliest({ scores, indices }, givesProbabilities) {
  if (indices) {
    const given = Array.from(indices, (index, i) => ({ index, share: scores[i], score: scores[i] }));
    return given.slice(0, MOST_GIVEN);
  }
  const shares = givesProbabilities ? scores : softmax(scores);
  const all = Array.from(scores, (score, index) => ({ index, share: shares[index], score }));
  return all.sort((a, b) => b.share - a.share).slice(0, MOST_OF_ALL);
}

/** Softmax of raw scores. */
export function softmax(scores) {
  const top = scores[argmax(scores)];
  const powers = Array.from(scores, (score) => Math.exp(score - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
