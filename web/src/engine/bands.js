/** Codebooks and tables of the bands of a latent, and the order in which it is coded (FORMAT.md, "Latent"). */
import { ModelNotFound } from "../errors.js";
import { need } from "../model/model.js";

/** Row and column of each phase in a 2x2 block. */
export const PHASES = [
  [0, 0],
  [1, 1],
  [0, 1],
  [1, 0],
];

/**
 * @typedef {object} Pass positions that are coded at once
 * @property {number} row @property {number} column @property {number} stride
 * @property {number} layer of the file
 * @property {number} maps phases that the prior looks at
 * @property {number} phase
 */

/** @type {Pass[]} */
export const PASSES = [
  ...PHASES.map(([i, j], n) => ({
    row: 2 * i,
    column: 2 * j,
    stride: 4,
    layer: 0,
    maps: Math.min(n, 1),
    phase: 0,
  })),
  ...PHASES.slice(1).map(([i, j], n) => ({
    row: i,
    column: j,
    stride: 2,
    layer: 1,
    maps: n + 1,
    phase: n + 1,
  })),
];

/**
 * How many numbers first, first + step, ... are below an end.
 * @param {number} first
 * @param {number} end
 * @param {number} step
 */
export const countFrom = (first, end, step) => Math.max(Math.ceil((end - first) / step), 0);

/**
 * @typedef {object} Band
 * @property {number} groups
 * @property {number} count codewords of a group
 * @property {number} size channels of a group
 * @property {number} channels
 * @property {number} channel first of them
 * @property {number} group number of the first group among all bands
 * @property {number} words address of (groups, count, size) int32
 * @property {number} tables address
 * @property {number} classes tables of a group
 */

/**
 * Bands of the latent ("y") or the hyper-latent ("z"); their memory is kept.
 * @param {import("./module.js").Engine} engine
 * @param {import("../model/model.js").Arrays} arrays
 * @param {string} prefix
 * @param {number[]} bins of each context number
 */
export function readBands(engine, arrays, prefix, bins) {
  const powers = engine.put(need(arrays, "powers").data),
    binsAt = engine.put(Int32Array.from(bins));
  /** @type {Band[]} */
  const bands = [];
  let channel = 0,
    group = 0;
  for (let b = 0; arrays.has(`${prefix}.words.${b}`); b++) {
    const words = need(arrays, `${prefix}.words.${b}`),
      rows = need(arrays, `${prefix}.tables.${b}`);
    const [groups, count, size] = words.shape,
      sum = bins.reduce((a, c) => a + c, 0);
    if (rows.shape.join() !== [groups, sum, count].join())
      throw new ModelNotFound("tables do not fit the codewords");
    const rowsAt = engine.put(rows.data);
    const tables = engine.made(
      (at) => engine.c.make_tables(rowsAt, groups, count, binsAt, bins.length, powers, at),
      `band ${b}`,
    );
    bands.push({
      groups,
      count,
      size,
      channels: groups * size,
      channel,
      group,
      tables,
      words: engine.put(Int32Array.from(words.data)),
      classes: bins.reduce((a, c) => a * c, 1),
    });
    channel += groups * size;
    group += groups;
  }
  engine.free(powers);
  engine.free(binsAt);
  return bands;
}

/** @typedef {{bands: Band[], channel: number, channels: number, group: number, groups: number}} Slice */

/**
 * Neighbouring bands that are predicted at once.
 * @param {Band[]} bands
 * @param {number[]} starts
 * @returns {Slice[]}
 */
export function cutSlices(bands, starts) {
  return [0, ...starts].map((first, n) => {
    const own = bands.slice(first, starts[n] ?? bands.length);
    const sum = (/** @type {"channels" | "groups"} */ key) =>
      own.reduce((total, band) => total + band[key], 0);
    return {
      bands: own,
      channel: own[0].channel,
      channels: sum("channels"),
      group: own[0].group,
      groups: sum("groups"),
    };
  });
}

/** The class offsets that a model knows (FORMAT.md, "Class offsets"). */
export class ClassOffsets {
  /**
   * @param {import("./module.js").Engine} engine
   * @param {import("../model/safetensors.js").Tensor} counts
   * @param {number[]} bins
   */
  constructor(engine, { shape, data }, bins) {
    const table = (/** @type {Int32Array} */ numbers) => {
      const address = engine.put(numbers);
      const made = engine.made((at) => engine.c.make_table(address, numbers.length, at), "class offsets");
      engine.free(address);
      return made;
    };
    this.table = table(data);
    this.flag = table(Int32Array.of(2 ** 23, 2 ** 23));
    this.zero = data.length >> 1;
    const classes = bins.reduce((a, b) => a * b, 1);
    /** The class that each class becomes, by offset. @type {Int32Array[]} */
    this.moved = Array.from({ length: data.length }, (_, offset) =>
      Int32Array.from({ length: classes }, (__, own) => {
        let moved = 0,
          stepsLeft = data.length,
          classesLeft = classes;
        bins.forEach((count, n) => {
          stepsLeft /= shape[n];
          classesLeft /= count;
          const step = Math.floor(offset / stepsLeft) % shape[n],
            number = Math.floor(own / classesLeft) % count;
          moved = moved * count + Math.min(Math.max(number + step - (shape[n] >> 1), 0), count - 1);
        });
        return moved;
      }),
    );
  }
}
