/** The last stage of g_s: picture in opponent colour to pixels (FORMAT.md, "Synthesis"). */
import { need } from "../model/model.js";
import { Convolution, SIGNED_ZERO } from "./layers.js";

const CELL_SCALE = 8192,
  GUIDE_CELLS = 4,
  CELL_WORDS = 24,
  STRIDE = 8,
  STRIP = 16,
  TOGETHER = 16;
const ROWS = [
  [1, 1, 1],
  [1, 0, -1],
  [1, -2, 1],
];
/** Orthonormal rows: brightness, red against blue, green against both. */
const OPPONENT = Float32Array.from(
  ROWS.flatMap((row) => {
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    return row.map((value) => value / length);
  }),
);

/** @typedef {import("./module.js").Scope} Scope */

export class Restoration {
  /** @param {import("./module.js").Engine} engine @param {import("../model/model.js").Arrays} arrays */
  constructor(engine, arrays) {
    const name = "g_s.restoration",
      kernels = need(arrays, `${name}.kernels`);
    const first = need(arrays, `${name}.mix.step`).data,
      second = need(arrays, `${name}.filter.step`).data;
    const modulation = need(arrays, `${name}.sense.modulation`);
    this.engine = engine;
    this.features = first.length;
    this.count = kernels.shape[1];
    // The guide is added before the modulation, which scales it and shifts the sum only once.
    this.guide = new Convolution(engine, arrays, `${name}.guide`, {
      out: tiled(first),
      modulation: guided(modulation, first.length),
      zero: SIGNED_ZERO,
    });
    this.sense = new Convolution(engine, arrays, `${name}.sense`, { out: first });
    this.mix = new Convolution(engine, arrays, `${name}.mix`, { out: second, zero: 0 });
    // Answers of kernels stay integers; their scale is that of the gates.
    const scales = need(arrays, `${name}.kernels.scale`).data,
      gain = new Float64Array(12 + 12 * this.count).fill(1);
    for (let k = 0; k < this.count; k++) {
      for (let i = 0; i < 12; i++)
        gain[12 + 12 * k + i] = Math.fround(scales[(i >> 2) * this.count + k] / CELL_SCALE);
    }
    this.filter = new Convolution(engine, arrays, `${name}.filter`, { gain, zero: 0 });
    this.kernels = engine.put(kernels.data);
    this.colour = engine.put(OPPONENT);
  }

  /**
   * Pixels (8 rows, 8 columns, 3) of u alike, with the last features (rows, columns, C).
   * @param {Scope} scope @param {number} u @param {number} guide @param {number} rows @param {number} columns
   * @param {number} level
   */
  run(scope, u, guide, rows, columns, level) {
    const { engine } = this,
      out = scope.allocate(STRIDE * STRIDE * rows * columns * 3);
    if (this.features % TOGETHER) {
      this.#byStrips(scope, u, guide, rows, columns, level, out);
      return out;
    }
    const layers = [this.guide, this.sense, this.mix, this.filter].flatMap((layer) => {
      const { layer: at, scale, bias } = layer.at(level);
      return [at, scale, bias];
    });
    const at = scope.put(Int32Array.from(layers));
    engine.check(
      engine.c.restore(
        u,
        guide,
        STRIDE * rows,
        STRIDE * columns,
        at,
        this.kernels,
        this.count,
        this.colour,
        out,
      ),
    );
    return out;
  }

  /**
   * Step by step, some rows of the guide at a time and one more on each side, for any number of features.
   * @param {Scope} scope
   * @param {number} u
   * @param {number} guide
   * @param {number} rows
   * @param {number} columns
   * @param {number} level
   * @param {number} out
   */
  #byStrips(scope, u, guide, rows, columns, level, out) {
    const { engine } = this,
      row = STRIDE * STRIDE * columns * 3;
    for (let first = 0; first < rows; first += STRIP) {
      const top = Math.max(first - 1, 0),
        last = Math.min(first + STRIP, rows),
        bottom = Math.min(last + 1, rows);
      engine.scope((own) => {
        const pixels = this.#strip(
          own,
          u + 4 * top * row,
          guide + top * columns * this.guide.inputs,
          bottom - top,
          columns,
          level,
        );
        engine
          .u8(0, engine.memoryBytes)
          .copyWithin(out + first * row, pixels + (first - top) * row, pixels + (last - top) * row);
      });
    }
  }

  /**
   * @param {Scope} scope
   * @param {number} u
   * @param {number} guide
   * @param {number} rows
   * @param {number} columns
   * @param {number} level
   */
  #strip(scope, u, guide, rows, columns, level) {
    const { engine, features } = this,
      { c } = engine,
      tall = GUIDE_CELLS * rows,
      wide = GUIDE_CELLS * columns,
      cellCount = tall * wide;
    const run = (
      /** @type {Convolution} */ layer,
      /** @type {number} */ x,
      /** @type {number} */ h,
      /** @type {number} */ w,
      /** @type {boolean} */ bytes,
      add = 0,
    ) => {
      const { layer: at, scale, bias } = layer.at(level),
        made = scope.allocate(h * w * layer.outputs * (bytes ? 1 : 4));
      engine.check(c.convolve(at, x, h, w, scale, bias, add, bytes ? 1 : 0, made));
      return made;
    };
    const cells = scope.allocate(cellCount * CELL_WORDS * 2),
      led = scope.allocate(cellCount * features * 4);
    engine.check(c.cells(u, 2 * tall, 2 * wide, cells));
    c.shuffle(run(this.guide, guide, rows, columns, false), rows, columns, GUIDE_CELLS, features * 4, led);
    const mixed = run(this.mix, run(this.sense, cells, tall, wide, true, led), tall, wide, true);
    const gates = run(this.filter, mixed, tall, wide, false),
      pixels = scope.allocate(4 * cellCount * 3);
    engine.check(c.mend(u, cells, gates, 2 * tall, 2 * wide, this.kernels, this.count, this.colour, pixels));
    return pixels;
  }

  end() {
    for (const layer of [this.guide, this.sense, this.mix, this.filter]) layer.end();
    this.engine.free(this.kernels);
    this.engine.free(this.colour);
  }
}

/** Repeated for each of the positions of a shuffle. @param {Float32Array} step */
function tiled(step) {
  return Float32Array.from({ length: step.length * GUIDE_CELLS ** 2 }, (_, i) => step[i % step.length]);
}

/**
 * The factors of a modulation (9, 2 C), repeated, with shifts of 0.
 * @param {import("../model/safetensors.js").Tensor} modulation
 * @param {number} features
 */
function guided({ shape, data }, features) {
  const outputs = features * GUIDE_CELLS ** 2,
    made = new Float32Array(shape[0] * 2 * outputs);
  for (let k = 0; k < shape[0]; k++) {
    for (let o = 0; o < outputs; o++) made[2 * k * outputs + o] = data[k * shape[1] + (o % features)];
  }
  return { dtype: "float32", shape: [shape[0], 2 * outputs], data: made };
}
