/**
 * Resizes an image to the same bytes as the package, which uses MXNet, which uses OpenCV: when shrinking, the mean over
 * the area that a pixel covers, in float32 sums; otherwise bilinear, in integers. The order of the operations and every
 * rounding between them affect the result.
 */

const ONE = 2048; // the weight 1 in bilinear sums
const float = Math.fround;

/** Returns one channel (bytes, row by row) of [height, width] resized to [high, wide]. */
export function stretch(plane, [height, width], [high, wide]) {
  if (height === high && width === wide) return plane;
  if (height < high || width < wide) return bilinear(plane, [height, width], [high, wide]);
  const whole = height % high === 0 && width % wide === 0;
  return (whole ? boxes : areas)(plane, [height, width], [high, wide]);
}

/** Means over boxes of whole pixels. */
function boxes(plane, [height, width], [high, wide]) {
  const [tall, broad] = [height / high, width / wide];
  const share = float(1 / (tall * broad));
  const mean = tall === 2 && broad === 2 ? (sum) => (sum + 2) >> 2 : (sum) => rounded(float(sum * share));
  return Uint8Array.from({ length: high * wide }, (_, index) => {
    const top = Math.floor(index / wide) * tall;
    const left = (index % wide) * broad;
    let sum = 0;
    for (let row = top; row < top + tall; row++) {
      for (let column = left; column < left + broad; column++) sum += plane[row * width + column];
    }
    return mean(sum);
  });
}

/** Means over areas whose borders lie within pixels. */
function areas(plane, [height, width], [high, wide]) {
  const [down, across] = [shares(height, high), shares(width, wide)];
  const line = (row) =>
    across.map((parts) => parts.reduce((sum, [column, share]) => float(sum + float(plane[row * width + column] * share)), 0));
  const result = new Uint8Array(high * wide);
  down.forEach((parts, row) => {
    const lines = parts.map(([from, share]) => line(from).map((value) => float(value * share)));
    const sums = lines.reduce((sum, more) => sum.map((value, column) => float(value + more[column])));
    result.set(sums.map(rounded), row * wide);
  });
  return result;
}

/** Returns, for each of `few` pixels, the [index, share] of each of the `many` pixels that it covers. */
function shares(many, few) {
  const scale = 1 / (few / many);
  return Array.from({ length: few }, (_, index) => {
    const from = index * scale;
    const to = from + scale;
    const length = Math.min(scale, many - from);
    const last = Math.min(Math.floor(to), many - 1);
    const first = Math.min(Math.ceil(from), last);
    const parts = [];
    if (first - from > 1e-3) parts.push([first - 1, float((first - from) / length)]);
    for (let whole = first; whole < last; whole++) parts.push([whole, float(1 / length)]);
    if (to - last > 1e-3) parts.push([last, float(Math.min(to - last, 1, length) / length)]);
    return parts;
  });
}

function bilinear(plane, [height, width], [high, wide]) {
  const [down, across] = [neighbours(height, high, false), neighbours(width, wide, true)];
  const lines = new Map();
  const line = (row) => {
    if (!lines.has(row)) {
      const at = (column) => plane[row * width + column];
      lines.set(row, across.map(([first, second, near, far]) => at(first) * near + at(second) * far));
    }
    return lines.get(row);
  };
  const result = new Uint8Array(high * wide);
  down.forEach(([first, second, near, far], row) => {
    const [upper, lower] = [line(first), line(second)];
    for (let column = 0; column < wide; column++) {
      const sum = ((near * (upper[column] >> 4)) >> 16) + ((far * (lower[column] >> 4)) >> 16);
      result[row * wide + column] = (sum + 2) >> 2;
    }
  });
  return result;
}

/**
 * Returns, for each of `wanted` pixels, the two of `given` that it lies between, and the weights of both. At the border
 * both are the same pixel, which columns take with a single weight and rows in two shares, each rounded.
 */
function neighbours(given, wanted, atOnce) {
  const scale = 1 / (wanted / given);
  const inside = (place) => Math.min(Math.max(place, 0), given - 1);
  return Array.from({ length: wanted }, (_, index) => {
    const place = float((index + 0.5) * scale - 0.5);
    const first = Math.floor(place);
    const pixels = [inside(first), inside(first + 1)];
    if (atOnce && pixels[0] === pixels[1]) return [...pixels, ONE, 0];
    const share = float(place - first);
    return [...pixels, rounded(float(float(1 - share) * ONE)), rounded(float(share * ONE))];
  });
}

/** Rounds half to even. */
function rounded(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}
