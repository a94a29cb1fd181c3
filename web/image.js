/**
 * Images: read from files, painted on canvases. A file is read as vqvae_gluon/data/image_file.py reads it: converted to
 * gray with the same integers, and resized by stretch.js. Bytes are ordered channel by channel and row by row.
 */
import { stretch } from "./stretch.js";

const MOST_PIXELS = 1 << 26; // as in the package
const MOST_BYTES = 1 << 28;

/** What is wrong with a file; the message is shown as it is. */
export class ImageFault extends Error {}

/** Returns { pixels, note } of an image file for a model whose images are [channels, height, width]. */
export async function readImage(file, [channels, height, width]) {
  if (file.size > MOST_BYTES) throw new ImageFault(`${file.name} has ${file.size} bytes: more than ${MOST_BYTES} are not read.`);
  const bytes = await contentOf(file);
  const kind = checkHeader(bytes, file.name);
  const { data, size } = await decoded(new Blob([bytes], { type: `image/${kind}` }), file.name);
  const [luma, note] = [kind === "bmp" ? bmpLuma : pngLuma, flatten(data)];
  const planes = channels === 1 ? [luma(data)] : [0, 1, 2].map((part) => planeOf(data, part));
  const pixels = new Uint8Array(channels * height * width);
  planes.forEach((plane, index) => pixels.set(stretch(plane, size, [height, width]), index * height * width));
  return { pixels, note };
}

async function contentOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new ImageFault(`${file.name} cannot be read: give an image file, not a folder.`);
  }
}

/** Paints an image of [channels, height, width] bytes on a canvas, which is resized to fit. */
export function paint(canvas, pixels, [channels, height, width]) {
  canvas.width = width;
  canvas.height = height;
  const area = height * width;
  const image = new ImageData(width, height);
  for (let index = 0; index < area; index++) {
    for (let part = 0; part < 3; part++) image.data[4 * index + part] = pixels[index + (channels === 1 ? 0 : part * area)];
    image.data[4 * index + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Returns one of the four channels of RGBA bytes. */
export function planeOf(data, part) {
  const plane = new Uint8Array(data.length / 4);
  for (let index = 0; index < plane.length; index++) plane[index] = data[4 * index + part];
  return plane;
}

function pngLuma(data) {
  return luma(data, (red, green, blue) => (9797 * red + 19234 * green + 3737 * blue) >> 15);
}

function bmpLuma(data) {
  return luma(data, (red, green, blue) => (4899 * red + 9617 * green + 1868 * blue + 8192) >> 14);
}

function luma(data, gray) {
  const plane = new Uint8Array(data.length / 4);
  for (let index = 0; index < plane.length; index++) {
    plane[index] = gray(data[4 * index], data[4 * index + 1], data[4 * index + 2]);
  }
  return plane;
}

/** Flattens RGBA bytes onto black in place; returns a sentence if anything was transparent, else an empty text. */
function flatten(data) {
  let shown = false;
  for (let index = 0; index < data.length; index += 4) {
    const alpha = data[index + 3];
    if (alpha === 255) continue;
    shown = true;
    for (let part = index; part < index + 3; part++) data[part] = Math.floor((alpha * data[part] + 127) / 255);
  }
  return shown ? "Its transparent parts were put onto black." : "";
}

async function decoded(blob, name) {
  try {
    const settings = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
    const bitmap = await createImageBitmap(blob, settings);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return { data: context.getImageData(0, 0, canvas.width, canvas.height).data, size: [canvas.height, canvas.width] };
  } catch {
    throw new ImageFault(`${name} cannot be decoded: it is damaged, or too large for this browser.`);
  }
}

/** Returns 'png', 'jpeg' or 'bmp'; throws ImageFault for any other file and for too many pixels. */
function checkHeader(bytes, name) {
  const view = new DataView(bytes.buffer);
  const starts = (...wanted) => wanted.every((byte, index) => bytes[index] === byte);
  let kind, size;
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a) && bytes.length > 32) {
    [kind, size] = ["png", [view.getUint32(20), view.getUint32(16)]];
    if (bytes[24] === 16) throw new ImageFault(`${name} has 16 bits per channel; save it with 8.`);
  } else if (starts(0xff, 0xd8, 0xff)) {
    [kind, size] = ["jpeg", jpegSize(view)];
  } else if (starts(0x42, 0x4d) && bytes.length > 26) {
    [kind, size] = ["bmp", [Math.abs(view.getInt32(22, true)), view.getInt32(18, true)]];
  } else {
    throw new ImageFault(`${name} is no PNG, JPEG or BMP file.`);
  }
  if (size[0] * size[1] > MOST_PIXELS) {
    throw new ImageFault(`${name} has ${size[1]} x ${size[0]} pixels: more than 67 million are not read.`);
  }
  return kind;
}

/** Returns [height, width] from a JPEG's frame header, or [0, 0] if there is none. */
function jpegSize(view) {
  let at = 2;
  while (at + 9 < view.byteLength) {
    const marker = view.getUint16(at);
    if (marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)) {
      return [view.getUint16(at + 5), view.getUint16(at + 7)];
    }
    at += 2 + view.getUint16(at + 2);
  }
  return [0, 0];
}
