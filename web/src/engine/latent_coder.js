/** Everything between segments and integer latents, built from a model's coding arrays. */
import { LAYERS } from "../container/header.js";
import { need } from "../model/model.js";
import { ClassOffsets, cutSlices, readBands } from "./bands.js";
import { Prior } from "./prior.js";
import { TileReader } from "./tile_reader.js";

const HYPER_CLASSES = 16;

/** @typedef {import("./module.js").Engine} Engine */

export class LatentCoder {
  /** @param {Engine} engine @param {import("../model/model.js").Arrays} arrays */
  constructor(engine, arrays) {
    this.engine = engine;
    /** @type {number[]} */
    this.bins = Array.from(need(arrays, "context_levels").data);
    this.bands = readBands(engine, arrays, "y", this.bins);
    this.hyperBands = readBands(engine, arrays, "z", [HYPER_CLASSES]);
    this.channels = this.bands.reduce((sum, band) => sum + band.channels, 0);
    this.slices = cutSlices(this.bands, Array.from(need(arrays, "slices").data));
    this.prior = new Prior(engine, arrays, this.slices, this.bins);
    this.offsets = new ClassOffsets(engine, need(arrays, "y.shifts"), this.bins);
    this.binsAt = engine.put(Int32Array.from(this.bins));
  }

  /**
   * The latent (h, w, M) of a tile in steps of 1/128. A missing second layer leaves the prior's means.
   * @param {(Uint8Array | null)[]} segments by layer, null where missing
   * @param {number} h @param {number} w @param {number} level
   * @param {number} [lastLayer] positions of later ones are left 0
   * @returns {Int16Array | Int32Array} the former where it fits, for nearly all pictures
   */
  decode(segments, h, w, level, lastLayer = LAYERS - 1) {
    if (!segments[0]) return new Int16Array(h * w * this.channels);
    return this.engine.scope((scope) => new TileReader(this, scope, segments, h, w, level).latent(lastLayer));
  }
}
