/**
 * Mixtures of a model's two decoders, rounded to integers again; the numbers are those of
 * `vqcodec.decompress.blending`, on every machine.
 */
import { rint } from "../engine/levels.js";
import { need } from "./model.js";

/** @typedef {import("./safetensors.js").Tensor} Tensor */
/** @typedef {import("./model.js").Arrays} Arrays */

const LN2 = 0.6931471805599453,
  WEIGHT8_MAX = 64,
  SUM8_MAX = Math.floor(2 ** 24 / 255),
  WORD_MAX = 32767;
const KERNEL_SUM_MAX = 65534,
  TINY = 1e-30;
/** Real values of a unit of each channel of the restoration's cells. */
const CELL_STEPS = [...new Array(9).fill(LN2 / 256), ...new Array(12).fill(1 / 8192), 1, 1, 1];
/** Layers with the inputs of another, or with the latent. @type {Record<string, string>} */
const SHARED = { "g_s.linear": "g_s.latent", "g_s.first": "g_s.latent", "g_s.restoration.guide": "g_s.last" };
const BYTES = /^(.*\.conv[12]|g_s\.last|g_s\.restoration\.(guide|mix|filter))$/;

/**
 * Arrays g_s.* and log_gain with a share of the perceptual decoder's weights.
 * @param {Arrays} transforms @param {Arrays} realism @param {number} share above 0, up to 1
 * @returns {Arrays}
 */
export function mixed(transforms, realism, share) {
  const second = new Map([...transforms, ...realism]);
  if (share === 1) return second;
  /** @type {Arrays} */
  const made = new Map(),
    scales = new Map();
  for (const [name, { shape, data }] of transforms) {
    if (!/\.(step|scale)$/.test(name)) continue;
    const other = need(second, name).data,
      larger = data.map((/** @type {number} */ value, /** @type {number} */ i) => Math.max(value, other[i]));
    (name.endsWith(".step") ? made : scales).set(name, { dtype: "float32", shape, data: larger });
  }
  for (const [key, tensor] of transforms) {
    if (/\.(step|scale)$/.test(key)) continue;
    const name = key.slice(0, key.lastIndexOf(".")),
      part = key.slice(name.length + 1);
    const one = toReals(transforms, key, name, part),
      two = toReals(second, key, name, part);
    const real = one.map((value, i) => value * (1 - share) + two[i] * share);
    if (part === "weight") toWeights(made, name, tensor.shape, real, scales);
    else if (part === "kernels") toKernels(made, key, tensor.shape, real);
    else made.set(key, { dtype: "float32", shape: tensor.shape, data: Float32Array.from(real) });
  }
  return made;
}

/**
 * The real value of one unit of each input of a layer.
 * @param {Arrays} arrays
 * @param {string} name
 * @returns {ArrayLike<number>}
 */
function inputStep(arrays, name) {
  return name === "g_s.restoration.sense" ? CELL_STEPS : need(arrays, `${SHARED[name] ?? name}.step`).data;
}

/** @param {Arrays} arrays @param {string} key @param {string} name @param {string} part */
function toReals(arrays, key, name, part) {
  const { shape, data } = need(arrays, key),
    reals = Float64Array.from(data);
  if (part === "weight") {
    const scale = need(arrays, `${name}.scale`).data,
      step = inputStep(arrays, name),
      inputs = shape[3];
    const each = reals.length / shape[0];
    for (let i = 0; i < reals.length; i++)
      reals[i] = (reals[i] * scale[Math.floor(i / each)]) / step[i % inputs];
  } else if (part === "kernels") {
    const scale = need(arrays, `${key}.scale`).data,
      each = shape[2] * shape[3];
    for (let i = 0; i < reals.length; i++) reals[i] *= scale[Math.floor(i / each)];
  }
  return reals;
}

/**
 * @param {Arrays} made
 * @param {string} name
 * @param {number[]} shape
 * @param {Float64Array} real
 * @param {Arrays} scales
 */
function toWeights(made, name, shape, real, scales) {
  const step = inputStep(made, name),
    inputs = shape[3],
    outputs = shape[0],
    each = real.length / outputs;
  const bytes = BYTES.test(name),
    scale = new Float32Array(outputs),
    least = need(scales, `${name}.scale`).data;
  const weights = bytes ? new Int8Array(real.length) : new Int16Array(real.length);
  for (let o = 0; o < outputs; o++) {
    const folded = real.subarray(o * each, (o + 1) * each).map((value, i) => value * step[i % inputs]);
    const own = weights.subarray(o * each, (o + 1) * each);
    const most = folded.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    if (bytes) {
      scale[o] = Math.max(most / WEIGHT8_MAX, TINY);
      for (;;) {
        const excess = divide(folded, scale[o], WEIGHT8_MAX, own) / (SUM8_MAX - 1);
        if (excess <= 1) break;
        scale[o] = scale[o] * excess * 1.001;
      }
    } else {
      scale[o] = Math.max(Math.max(most / WORD_MAX, TINY), least[o]);
      divide(folded, scale[o], WORD_MAX, own);
    }
  }
  made.set(`${name}.weight`, { dtype: bytes ? "int8" : "int16", shape, data: weights });
  made.set(`${name}.scale`, { dtype: "float32", shape: [outputs], data: scale });
}

/**
 * Integers up to `top` in size; returns the sum of their sizes.
 * @param {Float64Array} folded
 * @param {number} scale
 * @param {number} top
 * @param {Int8Array | Int16Array} out
 */
function divide(folded, scale, top, out) {
  let sum = 0;
  for (let i = 0; i < folded.length; i++) {
    const value = Math.min(Math.max(rint(folded[i] / scale), -top), top);
    out[i] = value;
    sum += Math.abs(value);
  }
  return sum;
}

/**
 * Zero-sum kernels (3, K, 5, 5).
 * @param {Arrays} made
 * @param {string} key
 * @param {number[]} shape
 * @param {Float64Array} real
 */
function toKernels(made, key, shape, real) {
  const size = shape[2] * shape[3],
    count = shape[0] * shape[1],
    middle = size >> 1;
  const kernels = new Int16Array(real.length),
    scale = new Float32Array(count);
  for (let k = 0; k < count; k++) {
    const own = real.subarray(k * size, (k + 1) * size);
    const most = own.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    scale[k] = Math.max((most * size) / (KERNEL_SUM_MAX - 2 * size), TINY);
    const integers = Array.from(own, (value) => rint(value / scale[k]));
    integers[middle] -= integers.reduce((a, b) => a + b, 0);
    kernels.set(integers, k * size);
  }
  made.set(key, { dtype: "int16", shape, data: kernels });
  made.set(`${key}.scale`, { dtype: "float32", shape: shape.slice(0, 2), data: scale });
}
