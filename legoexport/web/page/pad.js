// A pad to draw on. Strokes are kept as lines, so that what the network gets is drawn anew at its
// size: as large as the frame, in the middle, with a pen of fixed width, as the digits of the
// training data were prepared (32x32 bitmaps, counted in blocks of 4x4).

const BLOCK = 4;
// Chosen on the demo's digits: a third of the frame is ink, as in its data, and digits fill the
// height so far that the round ends of lines are cut.
const PEN_SHARE = 6 / 32;
const HEIGHT_SHARE = 34 / 32;
const WIDTH_SHARE = 28 / 32;
const VISIBLE_PEN_SHARE = 0.075;

export class Pad {
  constructor(canvas, onStroke) {
    this.canvas = canvas;
    this.onStroke = onStroke;
    this.strokes = [];
    this.drawing = false;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.end());
    canvas.addEventListener("pointercancel", () => this.end());
  }

  clear() {
    this.strokes = [];
    this.redraw();
  }

  /** The drawing as RGBA, light on dark, 4 times the network's size. */
  image([, h, w]) {
    const canvas = document.createElement("canvas");
    canvas.width = BLOCK * w;
    canvas.height = BLOCK * h;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const pen = PEN_SHARE * canvas.height;
    draw(context, this.fitted(canvas.width, canvas.height, pen), pen, "#fff");
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  fitted(width, height, pen) {
    const xs = this.strokes.flat().map(([x]) => x);
    const ys = this.strokes.flat().map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const scale = Math.min(
      (WIDTH_SHARE * width - pen) / Math.max(right - left, 1),
      (HEIGHT_SHARE * height - pen) / Math.max(bottom - top, 1),
    );
    const place = ([x, y]) => [
      width / 2 + (x - (left + right) / 2) * scale,
      height / 2 + (y - (top + bottom) / 2) * scale,
    ];
    return this.strokes.map((stroke) => stroke.map(place));
  }

  begin(event) {
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.drawing = true;
    this.strokes.push([this.position(event)]);
    this.redraw();
  }

  move(event) {
    if (!this.drawing) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.strokes.at(-1).push(this.position(one));
    this.redraw();
  }

  end() {
    if (!this.drawing) return;
    this.drawing = false;
    this.onStroke();
  }

  position(event) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.canvas;
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }

  redraw() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const colour = getComputedStyle(this.canvas).color;
    draw(context, this.strokes, VISIBLE_PEN_SHARE * this.canvas.height, colour);
  }
}

function draw(context, strokes, pen, colour) {
  context.strokeStyle = colour;
  context.lineWidth = pen;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const point of stroke.length > 1 ? stroke.slice(1) : stroke) context.lineTo(...point);
    context.stroke();
  }
}
