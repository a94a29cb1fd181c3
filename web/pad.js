/**
 * The drawing pad: pointer strokes, stored as lines in coordinates of the model's pixels, so that they can be redrawn
 * where an MNIST digit would be. An image that is put on the pad stays until the first stroke.
 */
import { paint, planeOf } from "./image.js";
import { stretch } from "./stretch.js";

const SHARPNESS = 280; // approximate number of pixels of the longer side
const PEN = 1 / 12; // of the longer side
const BOX = 20 / 28; // of the longer side: the box that MNIST's digits fill
const MOST_ENLARGED = 2.5;

export class Pad {
  /** onDraw is called after each change of the strokes, with true while a stroke is still being drawn. */
  constructor(canvas, shape, onDraw) {
    this.canvas = canvas;
    this.shape = shape;
    [this.channels, this.height, this.width] = shape;
    this.side = Math.max(this.height, this.width);
    this.scale = Math.max(1, Math.round(SHARPNESS / this.side));
    this.pen = PEN * this.side;
    this.ink = "#ffffff";
    this.strokes = [];
    this.onDraw = onDraw;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#end(event));
    this.clear();
  }

  clear() {
    this.strokes = [];
    this.#draw();
  }

  /** Shows an image of the model's shape. */
  show(pixels) {
    this.strokes = [];
    paint(this.canvas, pixels, this.shape);
  }

  /** Returns the strokes as an image of the model's shape; centred: scaled and placed like an MNIST digit. */
  pixels(centred) {
    if (!centred || !this.strokes.length) return this.#rendered([1, 0, 0]);
    const points = this.strokes.flatMap((stroke) => stroke.points);
    const [left, right, top, bottom] = [0, 1].flatMap((axis) => {
      const values = points.map((point) => point[axis]);
      return [Math.min(...values), Math.max(...values)];
    });
    const longest = Math.max(right - left, bottom - top);
    const enlarged = Math.min(MOST_ENLARGED, (BOX * this.side - this.pen) / longest);
    const x = this.width / 2 - (enlarged * (left + right)) / 2;
    const y = this.height / 2 - (enlarged * (top + bottom)) / 2;
    const [massX, massY] = this.#middle(this.#rendered([enlarged, x, y]));
    return this.#rendered([enlarged, x + this.width / 2 - massX, y + this.height / 2 - massY]);
  }

  #begin(event) {
    if (event.button !== 0 || this.drawing !== undefined) return;
    event.preventDefault();
    this.drawing = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push({ ink: this.ink, points: [this.#place(event)] });
    this.#draw();
    this.onDraw(true);
  }

  #go(event) {
    if (event.pointerId !== this.drawing) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1)?.points.push(...(moves.length ? moves : [event]).map((move) => this.#place(move)));
    this.#draw();
    this.onDraw(true);
  }

  #end(event) {
    if (event.pointerId !== this.drawing) return;
    this.drawing = undefined;
    this.onDraw(false);
  }

  #place(event) {
    const frame = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * this.width;
    return [x, ((event.clientY - frame.top) / frame.height) * this.height];
  }

  #draw() {
    this.#lines(this.canvas, [1, 0, 0]);
  }

  /** Draws the strokes on black, transformed by [scale, shift to the right, shift down]. */
  #lines(canvas, [enlarged, x, y]) {
    canvas.width = this.width * this.scale;
    canvas.height = this.height * this.scale;
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.scale(this.scale, this.scale);
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.pen;
    for (const { ink, points } of this.strokes) {
      context.strokeStyle = ink;
      context.beginPath();
      points.forEach(([atX, atY], index) => {
        const place = [x + enlarged * atX, y + enlarged * atY];
        if (index === 0) context.moveTo(...place);
        context.lineTo(...place);
      });
      context.stroke();
    }
    return context;
  }

  #rendered(placed) {
    const canvas = document.createElement("canvas");
    const { data } = this.#lines(canvas, placed).getImageData(0, 0, canvas.width, canvas.height);
    const area = this.height * this.width;
    const pixels = new Uint8Array(this.channels * area);
    for (let channel = 0; channel < this.channels; channel++) {
      pixels.set(stretch(planeOf(data, channel), [canvas.height, canvas.width], [this.height, this.width]), channel * area);
    }
    return pixels;
  }

  /** Returns the centre of mass (x, y) of a gray image. */
  #middle(pixels) {
    let [sum, sumX, sumY] = [1e-9, 0, 0];
    pixels.forEach((value, index) => {
      sum += value;
      sumX += value * ((index % this.width) + 0.5);
      sumY += value * (Math.floor(index / this.width) + 0.5);
    });
    return [sumX / sum, sumY / sum];
  }
}
