/**
 * The settings of the prior as typed by the user, with the limits and messages of `vqvae generate`.
 */

const LAST_SEED = 2 ** 32 - 1;
const MOST_IMAGES = 16; // limit of this page
const NUMBER = /^([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/;

/** Returns { label, temperature, topK, seed, count }, or { fault } with a sentence that says what is wrong. */
export function readSettings({ label, temperature, topK, seed, count, classes, codes }) {
  const heat = NUMBER.test(temperature.trim()) ? Number(temperature) : -1;
  const settings = {
    label: label === "" ? classes.length : Number(label),
    temperature: heat,
    topK: whole(topK),
    seed: whole(seed),
    count: whole(count),
  };
  if (!(heat === 0 || (heat >= 1e-3 && heat <= 1e3))) {
    return { fault: `temperature was given as ${temperature}: it must be 0 (always the likeliest code) or from 0.001 to 1000` };
  }
  if (!(settings.topK <= codes)) return { fault: `top-k was given as ${topK}: it must be from 1 to ${codes}, or 0 for all codes` };
  if (!(settings.seed <= LAST_SEED)) return { fault: `seed was given as ${seed}: it must be from 0 to ${LAST_SEED}` };
  if (!(settings.count >= 1 && settings.count <= MOST_IMAGES)) {
    return { fault: `count was given as ${count}: it must be from 1 to ${MOST_IMAGES} on this page` };
  }
  return settings;
}

/** Returns the command that prints the same codes; MODEL stands for a model other than the package's own. */
export function toCommand({ label, temperature, topK, seed, count }, classes, isOwn = true) {
  const words = ["vqvae generate --codes"];
  if (!isOwn) words.push("--model MODEL");
  if (label < classes.length) words.push(`--class ${quoted(classes[label])}`);
  if (temperature !== 1) words.push(`--temperature ${temperature}`);
  if (topK) words.push(`--top-k ${topK}`);
  words.push(`--seed ${seed}`);
  if (count > 1) words.push(`--count ${count}`);
  return words.join(" ");
}

function whole(text) {
  return /^[0-9]{1,18}$/.test(text.trim()) ? Number(text) : NaN;
}

function quoted(text) {
  return /^[A-Za-z0-9_.]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
