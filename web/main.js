/**
 * The page: a drawing or an opened image becomes codes, codes become an image, and the prior samples new codes. Each
 * change of the image has a number; results computed for an earlier number are dropped.
 */
import { CodesGrid, Palette, placeName } from "./codes.js";
import { ImageFault, paint, readImage } from "./image.js";
import { Pad } from "./pad.js";
import { codeBits, sampleCodes } from "./sampler.js";
import { readSettings, toCommand } from "./settings.js";

const QUIET = 200; // milliseconds without a change before the bits are computed

const $ = (id) => document.getElementById(id);
const state = { number: 0, pixels: null, codes: null, bits: null, place: null };
let model, grid, palette, pad, patches, weighing;

class Outdated extends Error {}

start().catch(fail);
window.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  fail(event.reason);
});

async function start() {
  $("not-started").remove();
  if (typeof WebAssembly !== "object") {
    fault("This browser has no WebAssembly, or it is turned off: the model cannot run here. Use a current browser.");
    return;
  }
  tell("Loading the model…");
  const { Model } = await import("./model.js");
  model = await Model.load();
  describe();
  makePad();
  await makeCodes();
  await makeExamples();
  $("page").hidden = false;
  if (model.about.prior) await makePrior();
  else $("no-prior").hidden = false;
  tell("Ready.");
}

function describe() {
  const { name, epoch, image, codes, colours } = model.about;
  const trained = name ? `${name}${epoch == null ? "" : `, epoch ${epoch}`}: ` : "";
  const kind = image[0] === 1 ? "gray" : "colour";
  $("about").textContent =
    `${trained}a ${kind} image of ${image[2]} x ${image[1]} pixels becomes ${codes[1]} x ${codes[0]} codes out of ` +
    `${colours.length}, and the codes become an image again.`;
}

function makePad() {
  const { about } = model;
  let waiting = false;
  const see = (sentence) => look(pad.pixels($("centred").checked && !$("centred-label").hidden), sentence);
  pad = new Pad($("pad"), about.image, (goesOn) => {
    if (!goesOn) see("Drawn.");
    else if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        if (pad.drawing !== undefined) see("");
      });
    }
  });
  $("centred-label").hidden = about.image.join() !== "1,28,28";
  $("centred").addEventListener("change", () => pad.strokes.length && see("Drawn."));
  $("ink-label").hidden = about.image[0] === 1;
  $("ink").addEventListener("input", () => (pad.ink = $("ink").value));
  $("clear").addEventListener("click", () => {
    forget();
    show(null);
    tell("Cleared.");
  });
  $("file").addEventListener("change", async () => {
    const [file] = $("file").files;
    $("file").value = "";
    if (file) await open(file);
  });
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("aimed", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("dragleave", () => $("drop").classList.remove("aimed"));
}

async function makeCodes() {
  const { about } = model;
  patches = await model.patches();
  grid = new CodesGrid($("codes"), about.codes, about.colours, {
    pick: choose,
    point,
    clear: (place) => clearRows(place / model.columns),
  });
  palette = new Palette($("palette"), $("swatches"), about.colours, patches, model.patchShape(), {
    try: (code) => palette.isOpen && tryCode(code),
    choose: setCode,
    leave: leavePalette,
  });
  $("palette-close").addEventListener("click", leavePalette);
  forget();
  show(null);
}

async function makeExamples() {
  for (const name of model.about.examples) {
    const button = $("examples").appendChild(document.createElement("button"));
    const shown = button.appendChild(document.createElement("img"));
    button.type = "button";
    shown.alt = `Example ${name.replace(/\.[a-z]+$/, "")}`;
    shown.src = `examples/${name}`;
    button.addEventListener("click", async () => {
      const answer = await fetch(shown.src);
      await open(new File([await answer.blob()], name));
    });
  }
  $("examples").hidden = !model.about.examples.length;
}

async function makePrior() {
  const { classes } = model.about.prior;
  $("command-model").hidden = model.about.isOwn;
  classes.forEach((name, label) => $("class").add(new Option(name, label)));
  $("class-label").hidden = !classes.length;
  for (let row = 0; row < model.rows; row++) $("keep").add(new Option(row, row));
  $("keep").value = Math.ceil(model.rows / 2) - 1;
  $("settings").addEventListener("submit", (event) => {
    event.preventDefault();
    draw([]);
  });
  $("clear-rows").addEventListener("click", () => clearRows(Number($("keep").value)));
  $("complete").addEventListener("click", complete);
  await model.loadPrior();
  $("prior").hidden = false;
  if (state.codes) weigh(state.number, ""); // for what was drawn in the meantime
}

/** Opens an image file and shows the result. */
async function open(file) {
  try {
    const { pixels, note } = await readImage(file, model.about.image);
    hideResults();
    pad.show(pixels);
    await look(pixels, `${file.name} is shown. ${note}`.trim());
  } catch (error) {
    if (!(error instanceof ImageFault)) throw error;
    fault(error.message);
  }
}

/** Encodes an image and shows its codes. */
async function look(pixels, sentence) {
  const number = renew();
  closePalette();
  state.pixels = pixels;
  paint($("input"), pixels, model.about.image);
  try {
    const codes = await current(number, model.encode(pixels));
    await show(codes, sentence, number);
  } catch (error) {
    if (!(error instanceof Outdated)) throw error;
  }
}

/** Shows codes, of which null is a cleared one, and the image that they make. */
async function show(codes, sentence = "", number = renew()) {
  state.codes = codes;
  state.bits = null;
  grid.show(codes);
  point(state.place);
  const cleared = codes ? codes.indexOf(null) : 0;
  const veil = document.querySelector(".veil");
  veil.hidden = cleared < 0;
  if (cleared >= 0) veil.style.setProperty("top", `${(100 * Math.floor(cleared / model.columns)) / model.rows}%`);
  $("strangeness").hidden = true;
  if (!codes) {
    paint($("image"), new Uint8Array(model.about.image.reduce((a, b) => a * b)), model.about.image);
    return;
  }
  await showImage(codes, number);
  if (sentence) tell(sentence);
  if (cleared < 0 && model.prior) weigh(number, sentence);
}

async function showImage(codes, number) {
  try {
    const [image] = await current(number, model.decode([codes.map((code) => code ?? 0)]));
    paint($("image"), image, model.about.image);
  } catch (error) {
    if (!(error instanceof Outdated)) throw error;
  }
}

/** Computes the bits of the codes under the prior once they have not changed for a while. */
function weigh(number, sentence) {
  clearTimeout(weighing);
  weighing = setTimeout(async () => {
    try {
      const { classes } = model.about.prior;
      const bits = await codeBits(stepFor(number), priorSize(), state.codes, classes.length);
      await current(number);
      state.bits = bits;
      showBits(bits.reduce((sum, value) => sum + value), sentence);
      point(state.place);
    } catch (error) {
      if (!(error instanceof Outdated)) throw error;
    }
  }, QUIET);
}

function showBits(sum, sentence) {
  const { validationBits } = model.about.prior;
  const most = model.places * Math.log2(model.codes);
  const share = (value) => `${Math.min(100, (100 * value) / most)}%`;
  $("bits").textContent = `${sum.toFixed(1)} bits`;
  $("bits-text").textContent = validationBits
    ? `under the prior: ${(sum / validationBits).toFixed(1)} times the ${validationBits.toFixed(1)} of an average image of ` +
      "the validation data. More bits mean a stranger image."
    : `under the prior; a fixed length would need ${most.toFixed(0)}. More bits mean a stranger image.`;
  $("bits-bar").style.setProperty("width", share(sum));
  $("bits-mark").hidden = !validationBits;
  $("bits-mark").style.setProperty("left", share(validationBits ?? 0));
  $("strangeness").hidden = false;
  if (sentence) tell(`${sentence} ${sum.toFixed(1)} bits.`);
}

/** Shows the code of a place, on hover and on focus; null: that of the palette's place, or none. */
function point(place) {
  state.place = place;
  const at = place ?? (palette.isOpen ? palette.place : null);
  const code = at == null ? null : state.codes?.[at];
  const shown = code != null;
  for (const spot of document.querySelectorAll(".spot")) {
    spot.hidden = !shown;
    if (!shown) continue;
    spot.style.setProperty("left", `${(100 * (at % model.columns)) / model.columns}%`);
    spot.style.setProperty("top", `${(100 * Math.floor(at / model.columns)) / model.rows}%`);
    spot.style.setProperty("width", `${100 / model.columns}%`);
    spot.style.setProperty("height", `${100 / model.rows}%`);
  }
  $("code-patch").hidden = $("code-text").hidden = !shown;
  $("codes-help").hidden = shown;
  if (!shown) return;
  const bits = state.bits ? ` It takes ${state.bits[at].toFixed(1)} bits.` : "";
  $("code-text").textContent =
    `Code ${code} in ${placeName(at, model.columns)}: this is the middle of an image of that code alone.${bits}`;
  paint($("code-patch"), patches[code], model.patchShape());
}

function choose(place) {
  palette.place = place;
  grid.mark(place);
  $("palette-title").textContent = `Choose the code of ${placeName(place, model.columns)}`;
  palette.open(state.codes[place]);
}

/** Shows the image with another code at the palette's place; null: as it is. */
function tryCode(code) {
  const codes = [...state.codes];
  if (code != null) codes[palette.place] = code;
  return showImage(codes, state.number);
}

async function setCode(code) {
  const { place } = palette;
  const before = state.codes[place];
  const codes = [...state.codes];
  codes[place] = code;
  closePalette();
  grid.focus(place);
  await show(codes, `The code of ${placeName(place, model.columns)} was ${before} and is ${code}.`);
}

function leavePalette() {
  const { place } = palette;
  closePalette();
  grid.focus(place);
  tryCode(null);
}

function closePalette() {
  palette.close();
  grid.mark(null);
  point(state.place);
}

function clearRows(kept) {
  if (!model.prior) return tell("This model has no prior, which would complete cleared rows.");
  if (!state.codes) return tell("There are no codes yet: draw something, or generate an image.");
  closePalette();
  hideResults();
  $("keep").value = Math.min(kept, model.rows - 1);
  const codes = state.codes.map((code, place) => (place < kept * model.columns ? code : null));
  return show(codes, `Kept the first ${kept} of ${model.rows} rows.`);
}

function complete() {
  const kept = Number($("keep").value) * model.columns;
  if (!state.codes && kept) return tell("There are no codes yet: draw something, or generate an image.");
  const given = (state.codes ?? []).slice(0, kept);
  if (given.includes(null)) return tell("Some of the rows to keep are cleared: keep fewer.");
  return draw(given);
}

/** Samples new codes with the settings of the form, after the given ones. */
async function draw(given) {
  const settings = readSettings({
    label: $("class").value,
    temperature: $("temperature").value,
    topK: $("top-k").value,
    seed: $("seed").value,
    count: $("count").value,
    classes: model.about.prior.classes,
    codes: model.codes,
  });
  if (settings.fault) return fault(settings.fault);
  const number = renew();
  closePalette();
  clearTimeout(weighing);
  tell("Drawing from the prior…");
  try {
    const images = await sampleCodes(stepFor(number), priorSize(), { ...settings, given });
    const decoded = await current(number, model.decode(images));
    if (!given.length) forget();
    $("command").hidden = given.length > 0;
    $("command").querySelector("code").textContent = toCommand(settings, model.about.prior.classes, model.about.isOwn);
    showResults(images, decoded);
    await show(images[0], given.length ? "Completed." : `Generated with seed ${settings.seed}.`);
  } catch (error) {
    if (!(error instanceof Outdated)) throw error;
  }
}

function showResults(images, decoded) {
  $("results").replaceChildren(
    ...images.map((codes, index) => {
      const button = document.createElement("button");
      const canvas = button.appendChild(document.createElement("canvas"));
      button.type = "button";
      button.setAttribute("aria-label", `New image ${index + 1}`);
      button.addEventListener("click", () => show(codes, `New image ${index + 1} is shown.`));
      paint(canvas, decoded[index], model.about.image);
      return button;
    }),
  );
  $("results").hidden = images.length < 2;
}

/** Clears the pad and the model's input. */
function forget() {
  closePalette();
  hideResults();
  pad.clear();
  state.pixels = null;
  paint($("input"), new Uint8Array(model.about.image.reduce((a, b) => a * b)), model.about.image);
}

/** Hides the new images and their command, because something else is shown. */
function hideResults() {
  $("results").hidden = $("command").hidden = true;
}

function priorSize() {
  return { codes: model.codes, places: model.places };
}

/** Returns the prior's step, which throws Outdated once the image has changed. */
function stepFor(number) {
  return (...inputs) => current(number, model.step(...inputs));
}

/** Numbers a new change of the image; results for an earlier one are dropped. */
function renew() {
  $("error").hidden = true;
  return ++state.number;
}

async function current(number, result) {
  const value = await result;
  if (number !== state.number) throw new Outdated();
  return value;
}

function tell(sentence) {
  $("status").textContent = sentence;
}

function fault(sentence) {
  tell("");
  $("error").textContent = sentence;
  $("error").hidden = false;
}

function fail(error) {
  console.error(error);
  fault(`The page cannot continue: ${error?.message ?? error}`);
}
