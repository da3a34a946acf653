/** What depends on the quality level, in float64 whose operations are each rounded once (FORMAT.md, "Level"). */
import { LEVEL_MAX } from "../container/header.js";

const LN2 = 0.6931471805599453,
  TERMS = 16,
  SHIFT = 1.5 * 2 ** 52;

/** Round to an integer, halves to the even one. @param {number} x below 2^51 in size */
export const rint = (x) => x + SHIFT - SHIFT;

/** @typedef {import("../model/safetensors.js").Tensor} Tensor */

/**
 * The row at a level 0 to 252 of a table (knots, n).
 * @param {Tensor} table @param {number} level
 * @returns {Float64Array}
 */
export function betweenKnots({ shape: [knots, n], data }, level) {
  const last = knots - 1,
    knot = Math.floor((level * last) / LEVEL_MAX),
    part = ((level * last) % LEVEL_MAX) / LEVEL_MAX;
  const next = Math.min(knot + 1, last),
    row = new Float64Array(n);
  for (let i = 0; i < n; i++) row[i] = data[knot * n + i] * (1 - part) + data[next * n + i] * part;
  return row;
}

/** e to the power of x, |x| < 700. @param {number} x */
export function exp(x) {
  const halvings = rint(x * (1 / LN2)),
    rest = x - halvings * LN2;
  let total = 1;
  for (let n = TERMS; n > 0; n--) total = (total * rest) / n + 1;
  return total * 2 ** halvings;
}

/** What real values are multiplied by to quantise them. @param {Tensor} step */
export const inverse = (step) => Float32Array.from(step.data, (value) => 1 / value);
