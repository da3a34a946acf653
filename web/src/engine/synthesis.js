/**
 * Synthesis g_s: an integer latent to pixels (FORMAT.md, "Synthesis").
 *
 *     y --first--> blocks at 1/16 --expand, shuffle 2--> blocks at 1/8 --last, shuffle 8--> +--> restoration
 *     y ------- linear: 16x16 filters with stride 16, then inverse lapping -----------------+
 */
import { need } from "../model/model.js";
import { Convolution, SIGNED_ZERO, readBlocks } from "./layers.js";
import { betweenKnots, exp, inverse } from "./levels.js";
import { Restoration } from "./restoration.js";
import { BLOCK, height, narrowed, scaled, width, within } from "./tiling.js";

const LATENT_UNITS = 128,
  FLOAT = 4,
  WORD = 2;
/** Blocks that the stages at 1/8 and the last layer see around one, and the last layer with all behind it. */
const FINE_REACH = 6,
  PICTURE_REACH = 2;

/** @typedef {import("./tiling.js").Place} Place */
/** @typedef {import("./module.js").Scope} Scope */

export class Synthesis {
  /**
   * @param {import("./module.js").Engine} engine
   * @param {import("../model/model.js").Arrays} arrays g_s.* and log_gain
   */
  constructor(engine, arrays) {
    this.engine = engine;
    this.logGain = need(arrays, "log_gain");
    this.latentStep = need(arrays, "g_s.latent.step").data;
    this.linear = new Convolution(engine, arrays, "g_s.linear");
    this.lapping = engine.put(need(arrays, "g_s.lapping").data);
    this.first = new Convolution(engine, arrays, "g_s.first");
    this.coarse = readBlocks(engine, arrays, "g_s.coarse");
    this.expandInverse = engine.put(inverse(need(arrays, "g_s.expand.step")));
    this.expand = new Convolution(engine, arrays, "g_s.expand");
    this.fine = readBlocks(engine, arrays, "g_s.fine");
    this.lastInverse = engine.put(inverse(need(arrays, "g_s.last.step")));
    this.last = new Convolution(engine, arrays, "g_s.last", { zero: SIGNED_ZERO });
    this.restoration = new Restoration(engine, arrays);
  }

  /**
   * Pixels (16 h, 16 w, 3) of a window's inner part.
   * @param {(place: Place, out: Float32Array) => void} fill writes the latent (h, w, M) of a place
   * @param {number} level
   * @param {import("./tiling.js").Window} window
   * @returns {Uint8Array} a copy
   */
  pixels(fill, level, window) {
    return this.engine.scope((scope) => this.#pixels(scope, fill, level, window));
  }

  /**
   * @param {Scope} scope
   * @param {(place: Place, out: Float32Array) => void} fill
   * @param {number} level
   * @param {import("./tiling.js").Window} window
   */
  #pixels(scope, fill, level, window) {
    const { engine } = this,
      { outer } = window,
      fine = narrowed(window, FINE_REACH).outer;
    const picture = narrowed(window, PICTURE_REACH).outer,
      channels = this.latentStep.length;
    const count = height(outer) * width(outer),
      latent = this.#latent(scope, fill, level, outer);

    let h = this.#convolve(scope, this.first, latent, height(outer), width(outer), level, 1);
    for (const block of this.coarse) block.run(h, height(outer), width(outer), level);
    const words = scope.allocate(count * this.first.outputs * WORD);
    engine.check(engine.c.quantise(h, count, this.first.outputs, this.expandInverse, 1, words));
    scope.free(h);
    crop(engine, words, this.first.outputs * WORD, width(outer), within(fine, outer));
    h = this.#convolve(scope, this.expand, words, height(fine), width(fine), level, 2);
    scope.free(words);

    const [tall, wide] = [2 * height(fine), 2 * width(fine)],
      features = this.expand.outputs / 4;
    for (const block of this.fine) block.run(h, tall, wide, level);
    const guide = scope.allocate(tall * wide * features);
    engine.check(engine.c.quantise(h, tall * wide, features, this.lastInverse, 0, guide));
    scope.free(h);
    crop(engine, guide, features, wide, scaled(within(picture, fine), 2));

    crop(engine, latent, channels * WORD, width(outer), within(picture, outer));
    const u = this.#convolve(scope, this.linear, latent, height(picture), width(picture), level, BLOCK);
    engine.c.lap(u, BLOCK * height(picture), BLOCK * width(picture), this.lapping);
    scope.free(latent);
    this.#add(this.last, guide, 2 * height(picture), 2 * width(picture), level, BLOCK / 2, u);

    const pixels = this.restoration.run(scope, u, guide, 2 * height(picture), 2 * width(picture), level);
    const inner = scaled(within(window.inner, picture), BLOCK);
    crop(engine, pixels, 3, BLOCK * width(picture), inner);
    return engine.u8(pixels, 3 * height(inner) * width(inner)).slice();
  }

  /**
   * The latent in steps of its own (h, w, M) int16.
   * @param {Scope} scope
   * @param {(place: Place, out: Float32Array) => void} fill
   * @param {number} level
   * @param {Place} outer
   */
  #latent(scope, fill, level, outer) {
    const { engine } = this,
      channels = this.latentStep.length,
      count = height(outer) * width(outer);
    const floats = scope.allocate(count * channels * FLOAT),
      words = scope.allocate(count * channels * WORD);
    fill(outer, engine.f32(floats, count * channels));
    const row = betweenKnots(this.logGain, level);
    const steps = scope.put(
      Float32Array.from(row, (gain, c) => 1 / (LATENT_UNITS * exp(gain) * this.latentStep[c])),
    );
    engine.check(engine.c.quantise(floats, count, channels, steps, 1, words));
    scope.free(floats);
    scope.free(steps);
    return words;
  }

  /**
   * Float32 (n tall, n wide, outputs / n / n) of a layer.
   * @param {Scope} scope
   * @param {Convolution} layer
   * @param {number} x
   * @param {number} tall
   * @param {number} wide
   * @param {number} level
   * @param {number} n
   */
  #convolve(scope, layer, x, tall, wide, level, n) {
    const { engine } = this,
      { layer: at, scale, bias } = layer.at(level),
      out = scope.allocate(tall * wide * layer.outputs * FLOAT);
    engine.check(engine.c.convolve_shuffled(at, x, tall, wide, scale, bias, n, 0, out));
    return out;
  }

  /**
   * Add the same to float32 `out`.
   * @param {Convolution} layer
   * @param {number} x
   * @param {number} tall
   * @param {number} wide
   * @param {number} level
   * @param {number} n
   * @param {number} out
   */
  #add(layer, x, tall, wide, level, n, out) {
    const { layer: at, scale, bias } = layer.at(level);
    this.engine.check(this.engine.c.convolve_shuffled(at, x, tall, wide, scale, bias, n, 1, out));
  }

  /** Give back all memory. */
  end() {
    for (const part of [
      this.linear,
      this.first,
      this.expand,
      this.last,
      this.restoration,
      ...this.coarse,
      ...this.fine,
    ])
      part.end();
    for (const address of [this.lapping, this.expandInverse, this.lastInverse]) this.engine.free(address);
  }
}

/**
 * Move a part of a map to its start.
 * @param {import("./module.js").Engine} engine
 * @param {number} map
 * @param {number} pixel bytes of one
 * @param {number} columns
 * @param {Place} part
 */
export function crop(engine, map, pixel, columns, part) {
  const wide = width(part) * pixel,
    bytes = engine.u8(map, part.bottom * columns * pixel);
  if (width(part) === columns && part.top === 0) return;
  for (let y = 0; y < height(part); y++) {
    const from = ((part.top + y) * columns + part.left) * pixel;
    bytes.copyWithin(y * wide, from, from + wide);
  }
}
