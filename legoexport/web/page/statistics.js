/** Percentile of sorted numbers by linear interpolation, as numpy's default. */
export function percentile(sorted, share) {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/** Median, 90th percentile and count of times in milliseconds. */
export function summarize(times) {
  const sorted = Float64Array.from(times).sort();
  return { median: percentile(sorted, 0.5), p90: percentile(sorted, 0.9), runs: sorted.length };
}

/** Smallest step of the clock in milliseconds; browsers coarsen it on purpose. */
export function clockStep(now) {
  let smallest = Infinity;
  for (let i = 0; i < 10; i++) {
    const start = now();
    let end = start;
    while (end === start) end = now();
    smallest = Math.min(smallest, end - start);
  }
  return smallest;
}
