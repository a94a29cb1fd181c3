/**
 * Runs the model: its ONNX files, with ONNX Runtime Web in one thread of WebAssembly, and model.json, which gives all
 * sizes. Images are bytes, channel by channel and row by row; codes are plain arrays in raster order.
 */
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

const BATCH = 64; // number of codes whose patches are decoded at once
const BREATH = 12; // milliseconds of work before the browser gets a chance to draw

export class Model {
  /** Loads the encoder and the decoder; loadPrior loads the prior later. */
  static async load() {
    ort.env.wasm.numThreads = 1; // more threads need headers that a plain web server does not send
    ort.env.wasm.wasmPaths = { wasm: new URL("runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
    const model = new Model(JSON.parse(new TextDecoder().decode(await fetched("model.json"))));
    model.encoder = await session("encoder.onnx");
    model.decoder = await session("decoder.onnx");
    return model;
  }

  constructor(about) {
    this.about = about;
    [this.channels, this.height, this.width] = about.image;
    [this.rows, this.columns] = about.codes;
    this.places = this.rows * this.columns;
    this.codes = about.colours.length;
    this.prior = null;
    this.turn = Promise.resolve();
    this.lastBreath = performance.now();
  }

  async loadPrior() {
    this.prior = await session("prior.onnx");
  }

  /** Returns the codes of an image. */
  async encode(pixels) {
    const data = Float32Array.from(pixels, (byte) => byte / 255);
    const images = new ort.Tensor("float32", data, [1, ...this.about.image]);
    const { codes } = await this.#run(this.encoder, { images });
    return Array.from(codes.data, Number);
  }

  /** Returns the images decoded from several arrays of codes. */
  async decode(several) {
    const flat = BigInt64Array.from(several.flat(), BigInt);
    const codes = new ort.Tensor("int64", flat, [several.length, this.rows, this.columns]);
    const { images } = await this.#run(this.decoder, { codes });
    const size = images.data.length / several.length;
    return several.map((_, index) => toBytes(images.data.subarray(index * size, (index + 1) * size)));
  }

  /** Returns, for each code, the middle patch of an image made of that code alone; see patchShape. */
  async patches() {
    const [, high, wide] = this.patchShape();
    const top = Math.floor(this.rows / 2) * high;
    const left = Math.floor(this.columns / 2) * wide;
    const patches = [];
    for (let start = 0; start < this.codes; start += BATCH) {
      const some = Array.from({ length: Math.min(BATCH, this.codes - start) }, (_, index) => start + index);
      const images = await this.decode(some.map((code) => new Array(this.places).fill(code)));
      patches.push(...images.map((image) => this.#cut(image, top, left, high, wide)));
    }
    return patches;
  }

  /** Returns the shape of the patch that one code stands for. */
  patchShape() {
    const side = (pixels, codes) => Math.max(1, Math.floor(pixels / codes));
    return [this.channels, side(this.height, this.rows), side(this.width, this.columns)];
  }

  /** Runs the prior for one place; see sampler.js. */
  async step(previous, place, label, temperature, past) {
    const count = previous.length;
    const numbers = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [count]);
    const same = (value) => numbers(new Array(count).fill(value));
    const found = await this.#run(this.prior, {
      previous_code: numbers(previous),
      place: same(place),
      class: same(label),
      temperature: new ort.Tensor("float32", new Float32Array(count).fill(temperature), [count, 1]),
      ...(past ?? this.#nothing(count)),
    });
    const { probabilities, ...kept } = found;
    const names = Object.entries(kept).map(([name, tensor]) => [`past_${name}`, tensor]);
    return { probabilities: probabilities.data, past: Object.fromEntries(names) };
  }

  #nothing(count) {
    const { layers, headWidth } = this.about.prior;
    const shape = [count, this.places, headWidth];
    const past = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const kind of ["keys", "values"]) {
        past[`past_${kind}${layer}`] = new ort.Tensor("float32", new Float32Array(count * this.places * headWidth), shape);
      }
    }
    return past;
  }

  #cut(image, top, left, high, wide) {
    const patch = new Uint8Array(this.channels * high * wide);
    for (let index = 0; index < patch.length; index++) {
      const channel = Math.floor(index / (high * wide));
      const row = top + (Math.floor(index / wide) % high);
      patch[index] = image[(channel * this.height + row) * this.width + left + (index % wide)];
    }
    return patch;
  }

  /** Queues the runs of the networks: the runtime takes one call at a time, and the browser must draw in between. */
  #run(network, inputs) {
    const result = this.turn.then(async () => {
      if (performance.now() - this.lastBreath > BREATH) {
        await new Promise((resolve) => setTimeout(resolve));
        this.lastBreath = performance.now();
      }
      return network.run(inputs);
    });
    this.turn = result.catch(() => {});
    return result;
  }
}

async function fetched(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} cannot be loaded: the server answers ${answer.status}.`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function session(name) {
  return ort.InferenceSession.create(await fetched(name), { executionProviders: ["wasm"] });
}

/** Returns floats in [0, 1] as bytes, rounded half to even. */
function toBytes(values) {
  return Uint8Array.from(values, (value) => {
    const scaled = Math.fround(Math.min(Math.max(value, 0), 1) * 255);
    const low = Math.floor(scaled);
    const rest = scaled - low;
    return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
  });
}
