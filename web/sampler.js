/**
 * Samples codes from a prior, place by place, as vqvae_gluon/sampling.py does: the same random numbers in the same
 * order, the same sums of doubles, the same comparison. The prior is passed as a function,
 * step(previous codes, place, label, temperature, past) -> { probabilities, past }, where probabilities holds K numbers
 * for each image and past is the state that the next place needs.
 */

const LENGTH = 624; // of the Mersenne Twister's state
const SHIFT = 397;

/** The random numbers of numpy.random.RandomState(seed), for a seed in [0, 2**32). */
export class RandomState {
  constructor(seed) {
    this.state = new Uint32Array(LENGTH);
    this.state[0] = seed;
    for (let i = 1; i < LENGTH; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
    this.next = LENGTH;
  }

  /** Returns a double in [0, 1), made of 53 random bits. */
  double() {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  #word() {
    if (this.next === LENGTH) this.#renew();
    let word = this.state[this.next++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #renew() {
    const state = this.state;
    for (let i = 0; i < LENGTH; i++) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % LENGTH] & 0x7fffffff);
      state[i] = state[(i + SHIFT) % LENGTH] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }
}

/**
 * Returns the code that a random number in [0, 1) selects from the probabilities (K) of the codes.
 *
 * Temperature 0 selects the most probable code; topK above 0 limits the choice to that many most probable codes. Of
 * equal codes, the first counts.
 */
export function choose(probabilities, random, temperature, topK) {
  if (!probabilities.every(Number.isFinite)) {
    throw new Error("The prior gives probabilities that are no numbers: it is damaged or was badly trained.");
  }
  if (temperature === 0) return probabilities.indexOf(Math.max(...probabilities));
  const weights = Float64Array.from(probabilities);
  if (topK) {
    const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a] || a - b);
    for (const code of order.slice(topK)) weights[code] = 0;
  }
  for (let code = 1; code < weights.length; code++) weights[code] += weights[code - 1];
  const wanted = random * weights[weights.length - 1];
  return weights.filter((sum) => sum <= wanted).length;
}

/**
 * Returns the codes of `count` new images, one array of P numbers per image.
 *
 * size: { codes: K, places: P }. settings: { count, label, temperature, topK, seed, given }, where given holds the
 * codes of the first places, kept in all images.
 */
export async function sampleCodes(step, size, settings) {
  const { count, label, temperature, topK, seed, given } = settings;
  const state = new RandomState(seed);
  const random = Array.from({ length: count }, () => Float64Array.from({ length: size.places }, () => state.double()));
  const images = Array.from({ length: count }, () => [...given]);
  let past = null;
  for (let place = 0; place < size.places; place++) {
    const previous = images.map((codes) => (place ? codes[place - 1] : size.codes));
    const found = await step(previous, place, label, temperature || 1, past);
    past = found.past;
    if (place < given.length) continue;
    images.forEach((codes, index) => {
      const probabilities = found.probabilities.subarray(index * size.codes, (index + 1) * size.codes);
      codes.push(choose(probabilities, random[index][place], temperature, topK));
    });
  }
  return images;
}

/** Returns the number of bits that the prior needs for each code (P) of an image: minus log2 of its probability. */
export async function codeBits(step, size, codes, label) {
  const bits = [];
  let past = null;
  for (let place = 0; place < size.places; place++) {
    const found = await step([place ? codes[place - 1] : size.codes], place, label, 1, past);
    past = found.past;
    bits.push(-Math.log2(found.probabilities[codes[place]]));
  }
  return bits;
}
