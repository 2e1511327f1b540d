// SHA-256 (FIPS 180-4). The browser's own is there only in secure contexts, and a phone that opens
// the page over plain HTTP needs the check as much.

const K = new Uint32Array(64);
const START = new Uint32Array(8);
fillConstants();

/** Hexadecimal SHA-256 of a Uint8Array. */
export function sha256(bytes) {
  const state = START.slice();
  const schedule = new Uint32Array(64);
  const whole = bytes.length - (bytes.length % 64);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < whole; at += 64) compress(state, view, at, schedule);
  const tail = lastBlocks(bytes, whole);
  for (let at = 0; at < tail.byteLength; at += 64) compress(state, tail, at, schedule);
  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

function lastBlocks(bytes, whole) {
  const rest = bytes.length - whole;
  const block = new Uint8Array(rest < 56 ? 64 : 128);
  block.set(bytes.subarray(whole));
  block[rest] = 0x80;
  const view = new DataView(block.buffer);
  view.setUint32(block.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(block.length - 4, bytes.length << 3);
  return view;
}

function compress(state, view, at, w) {
  for (let t = 0; t < 16; t++) w[t] = view.getUint32(at + 4 * t);
  for (let t = 16; t < 64; t++) {
    const s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ (w[t - 15] >>> 3);
    const s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ (w[t - 2] >>> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] += word; });
}

function rotate(word, count) {
  return (word >>> count) | (word << (32 - count));
}

// The constants are the first 32 bits of the fractions of roots of the first primes.
function fillConstants() {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) {
    if (primes.every((p) => n % p)) primes.push(n);
  }
  primes.forEach((p, i) => { K[i] = fraction(Math.cbrt(p)); });
  primes.slice(0, 8).forEach((p, i) => { START[i] = fraction(Math.sqrt(p)); });
}

function fraction(root) {
  return (root - Math.floor(root)) * 2 ** 32;
}
