/** Convolutions of a weights file, with what scales their sums at a level (FORMAT.md, "Layers"). */
import { ModelNotFound } from "../errors.js";
import { need } from "../model/model.js";
import { betweenKnots, inverse } from "./levels.js";

/** The byte that stands for 0 where activations have a sign. */
export const SIGNED_ZERO = 128;

/** @typedef {import("../model/model.js").Arrays} Arrays */
/** @typedef {import("./module.js").Engine} Engine */
/** @typedef {{layer: number, scale: number, bias: number}} Scaled addresses */

export class Convolution {
  #level = -1;
  #scaled = /** @type {Scaled} */ ({ layer: 0, scale: 0, bias: 0 });

  /**
   * @param {Engine} engine @param {Arrays} arrays @param {string} name
   * @param {object} [how]
   * @param {ArrayLike<number> | null} [how.out] real values of one unit of each output
   * @param {ArrayLike<number> | null} [how.gain] what real outputs are multiplied by
   * @param {number | null} [how.zero] of inputs in 8 bits; inputs are in 16 without it
   * @param {import("../model/safetensors.js").Tensor | null} [how.modulation] instead of its own
   */
  constructor(engine, arrays, name, { out = null, gain = null, zero = null, modulation = null } = {}) {
    const { shape, dtype, data } = need(arrays, `${name}.weight`);
    const [outputs, kernel, , inputs] = shape,
      words = zero === null;
    if (shape.length !== 4 || (!words && dtype !== "int8"))
      throw new ModelNotFound(`${name}: not the weights of a convolution`);
    this.engine = engine;
    this.outputs = outputs;
    this.inputs = inputs;
    this.scale = need(arrays, `${name}.scale`).data;
    this.bias = arrays.get(`${name}.bias`)?.data ?? new Float32Array(outputs);
    this.out = out;
    this.gain = gain;
    this.modulation = modulation ?? arrays.get(`${name}.modulation`) ?? null;
    this.layer = engine.scope((scope) => {
      const weights = scope.put(words ? Int16Array.from(data) : data);
      return engine.made(
        (at) => engine.c.make_layer(words ? 1 : 0, weights, outputs, kernel, inputs, zero ?? 0, at),
        name,
      );
    });
  }

  /** The layer, S and B at a level; the last level is kept. @param {number} level @returns {Scaled} */
  at(level) {
    if (this.#level === level) return this.#scaled;
    const { outputs, engine } = this,
      scale = new Float32Array(outputs),
      bias = new Float32Array(outputs);
    const row = this.modulation && betweenKnots(this.modulation, level);
    for (let o = 0; o < outputs; o++) {
      let s = this.scale[o],
        b = this.bias[o];
      if (row) {
        s *= 1 + row[o];
        b = b * (1 + row[o]) + row[outputs + o];
      }
      const gain = this.gain ? this.gain[o] : 1,
        out = this.out ? this.out[o] : 1;
      scale[o] = (s * gain) / out;
      bias[o] = (b * gain) / out;
    }
    this.#forget();
    this.#scaled = { layer: this.layer, scale: engine.put(scale), bias: engine.put(bias) };
    this.#level = level;
    return this.#scaled;
  }

  #forget() {
    if (this.#level >= 0) {
      this.engine.free(this.#scaled.scale);
      this.engine.free(this.#scaled.bias);
    }
    this.#level = -1;
  }

  end() {
    this.#forget();
    this.engine.c.free_layer(this.layer);
  }
}

/** A residual block: h + conv2(relu(modulated conv1(h))). */
export class Block {
  /** @param {Engine} engine @param {Arrays} arrays @param {string} name */
  constructor(engine, arrays, name) {
    this.engine = engine;
    this.inverse = engine.put(inverse(need(arrays, `${name}.conv1.step`)));
    const out = need(arrays, `${name}.conv2.step`).data;
    this.conv1 = new Convolution(engine, arrays, `${name}.conv1`, { out, zero: SIGNED_ZERO });
    this.conv2 = new Convolution(engine, arrays, `${name}.conv2`, { zero: 0 });
  }

  /**
   * Run on h (height, width, C) in place.
   * @param {number} h
   * @param {number} height
   * @param {number} width
   * @param {number} level
   */
  run(h, height, width, level) {
    const one = this.conv1.at(level),
      two = this.conv2.at(level);
    this.engine.check(
      this.engine.c.block(
        h,
        height,
        width,
        this.inverse,
        one.layer,
        one.scale,
        one.bias,
        two.layer,
        two.scale,
        two.bias,
      ),
    );
  }

  end() {
    this.engine.free(this.inverse);
    this.conv1.end();
    this.conv2.end();
  }
}

/**
 * Blocks `name.0`, `name.1`, ... as far as there are any.
 * @param {Engine} engine
 * @param {Arrays} arrays
 * @param {string} name
 */
export function readBlocks(engine, arrays, name) {
  const blocks = [];
  for (let n = 0; arrays.has(`${name}.${n}.conv1.weight`); n++)
    blocks.push(new Block(engine, arrays, `${name}.${n}`));
  return blocks;
}
