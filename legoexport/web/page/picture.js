// From a picture to the numbers that the network takes.

const MOST_PIXELS = 2048;
// ITU-R BT.601, as image libraries make grey of colour.
const LUMA = [0.299, 0.587, 0.114];

/** Read an image file: its middle, in the network's aspect ratio, as RGBA. */
export async function readFile(file, [, h, w]) {
  // Colour profiles are left out, as image libraries in training leave them out.
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(file, options);
  const scale = Math.min(bitmap.width / w, bitmap.height / h);
  const [cropW, cropH] = [w * scale, h * scale];
  const shrink = Math.min(1, MOST_PIXELS / Math.max(cropW, cropH));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(cropW * shrink));
  canvas.height = Math.max(1, Math.round(cropH * shrink));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const [x, y] = [(bitmap.width - cropW) / 2, (bitmap.height - cropH) / 2];
  context.drawImage(bitmap, x, y, cropW, cropH, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Colours in [0, 1] as `c` planes of h x w, by the mean over the area of each pixel. */
export function toPlanes(image, [c, h, w]) {
  const colours = [0, 1, 2].map((channel) => shrinkPlane(image, channel, h, w));
  if (c === 3) return Float64Array.from(colours.flatMap((plane) => [...plane]));
  return colours[0].map((_, i) => LUMA.reduce((sum, part, k) => sum + part * colours[k][i], 0));
}

/** What the network takes: (colour - mean) / std, channel by channel. */
export function normalize(planes, { mean, std }) {
  const size = planes.length / mean.length;
  return Float32Array.from(planes, (value, i) => {
    const channel = Math.floor(i / size);
    return (value - mean[channel]) / std[channel];
  });
}

/** What a network takes that normalises itself: h x w pixels of c grey levels. */
export function toPixels(planes, [c, h, w]) {
  const size = h * w;
  return Uint8Array.from(planes, (_, i) => Math.round(255 * planes[(i % c) * size + Math.floor(i / c)]));
}

/** Show planes on a canvas, a pixel of the network for each. */
export function show(canvas, planes, [c, h, w]) {
  canvas.width = w;
  canvas.height = h;
  const image = new ImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = 255 * planes[(c === 3 ? k : 0) * h * w + i];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function shrinkPlane(image, channel, h, w) {
  const rows = weights(image.height, h);
  const columns = weights(image.width, w);
  const plane = new Float64Array(h * w);
  rows.forEach((row, y) => columns.forEach((column, x) => {
    let sum = 0;
    for (const [v, a] of row) {
      for (const [u, b] of column) sum += a * b * image.data[4 * (v * image.width + u) + channel];
    }
    plane[y * w + x] = sum / 255;
  }));
  return plane;
}

/** For each of `to` pixels: which of `from` pixels lie under it, and with what share. */
function weights(from, to) {
  const ratio = from / to;
  return Array.from({ length: to }, (_, i) => {
    const [start, end] = [i * ratio, (i + 1) * ratio];
    const parts = [];
    for (let p = Math.floor(start); p < Math.min(from, Math.ceil(end - 1e-9)); p++) {
      parts.push([p, (Math.min(end, p + 1) - Math.max(start, p)) / ratio]);
    }
    return parts;
  });
}
