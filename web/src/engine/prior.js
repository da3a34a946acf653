/** The integer prior's layers, in the module's memory (FORMAT.md, "Integer prior"). */
import { need } from "../model/model.js";
import { PASSES, PHASES } from "./bands.js";

const LATENT_MAX = 131071;

/** @typedef {{at: number, outputs: number, inputs: number}} PriorLayer */
/** @typedef {import("../model/model.js").Arrays} Arrays */

export class Prior {
  /**
   * @param {import("./module.js").Engine} engine @param {Arrays} arrays
   * @param {import("./bands.js").Slice[]} slices @param {number[]} bins
   */
  constructor(engine, arrays, slices, bins) {
    const layer = (
      /** @type {string} */ name,
      /** @type {number} */ signed,
      rows = /** @type {number[] | null} */ (null),
    ) => makeLayer(engine, arrays, `prior.${name}`, signed, rows);
    const inputs = (/** @type {string} */ name) => need(arrays, `prior.${name}.weight`).shape[1];
    const last = slices[slices.length - 1],
      channels = last.channel + last.channels,
      groups = last.group + last.groups;
    this.hyper = [layer("hyper1", inputs("hyper1")), layer("hyper2", 0), layer("hyper3", 0)];
    this.hyperLayers = engine.put(Int32Array.from(this.hyper, ({ at }) => at));
    this.features = this.hyper[2].outputs;
    this.enter = PASSES.map((_, p) => layer(`enter.${p}`, inputs(`enter.${p}`) - this.features));
    this.middle = PASSES.map((_, p) => layer(`middle.${p}`, 0));
    this.hidden = this.middle[0].outputs;
    this.leave = PHASES.map((_, f) =>
      slices.map((slice) => layer(`leave.${f}`, 0, rowsOf(slice, channels, groups, bins.length))),
    );
    const looks = Array.from({ length: (slices.length - 1) * PHASES.length }, (_, n) => n);
    this.look = looks.map((n) => layer(`look.${n}`, slices[1 + Math.floor(n / PHASES.length)].channel));
    this.tell = looks.map((n) => layer(`tell.${n}`, 0));
    this.linear = PASSES.slice(1).map((_, p) => {
      const { shape, data } = need(arrays, `prior.linear.${p}`);
      return { at: engine.put(data), channels: shape[0] };
    });
    this.compand = engine.put(compandTable(need(arrays, "prior.compand").data));
    this.compandLength = LATENT_MAX + 1;
  }
}

/**
 * Outputs of a last layer that are a slice's: means, then each context number of its groups.
 * @param {import("./bands.js").Slice} slice
 * @param {number} channels
 * @param {number} groups
 * @param {number} numbers
 */
function rowsOf(slice, channels, groups, numbers) {
  const rows = [];
  for (let c = 0; c < slice.channels; c++) rows.push(slice.channel + c);
  for (let n = 0; n < numbers; n++)
    for (let g = 0; g < slice.groups; g++) rows.push(channels + n * groups + slice.group + g);
  return rows;
}

/**
 * @param {import("./module.js").Engine} engine
 * @param {Arrays} arrays
 * @param {string} name
 * @param {number} signed
 * @param {number[] | null} rows
 * @returns {PriorLayer}
 */
function makeLayer(engine, arrays, name, signed, rows) {
  const weight = need(arrays, `${name}.weight`),
    bias = need(arrays, `${name}.bias`);
  const [all, inputs, kernel] = weight.shape,
    knots = bias.shape[0];
  const own = rows ?? Array.from({ length: all }, (_, o) => o),
    each = inputs * kernel * kernel;
  const taken = (/** @type {any} */ data, /** @type {number} */ size, /** @type {number} */ first) => {
    const part = new data.constructor(own.length * size);
    own.forEach((row, o) => part.set(data.subarray(first + row * size, first + (row + 1) * size), o * size));
    return part;
  };
  const biases = new Int32Array(knots * own.length);
  for (let k = 0; k < knots; k++) biases.set(taken(bias.data, 1, k * all), k * own.length);
  return engine.scope((scope) => {
    const parts = [
      taken(weight.data, each, 0),
      biases,
      taken(need(arrays, `${name}.multiplier`).data, 1, 0),
      taken(need(arrays, `${name}.shift`).data, 1, 0),
    ].map((part) => scope.put(part));
    const at = engine.made(
      (place) =>
        engine.c.make_prior_layer(
          parts[0],
          own.length,
          inputs,
          kernel,
          parts[1],
          knots,
          parts[2],
          parts[3],
          signed,
          place,
        ),
      name,
    );
    return { at, outputs: own.length, inputs };
  });
}

/** How many of the steps are at most 0, 1, 2, ... @param {Int32Array} steps */
function compandTable(steps) {
  const table = new Uint8Array(LATENT_MAX + 1);
  for (let y = 0, count = 0; y <= LATENT_MAX; y++) {
    while (count < steps.length && steps[count] <= y) count++;
    table[y] = count;
  }
  return table;
}
