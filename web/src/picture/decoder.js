/** A .vqc file to pixels: everything that one thread does. */
import { LimitExceeded, ModelMismatch, ModelNotFound, UnsuitableOption, VQCodecError } from "../errors.js";
import { parse } from "../container/container.js";
import { LAYERS, NO_MODEL, limitsOf } from "../container/header.js";
import { Engine } from "../engine/module.js";
import { Synthesis } from "../engine/synthesis.js";
import { LatentCoder } from "../engine/latent_coder.js";
import { BLOCK, height, overlap, place, scaled, tiles, width, windows } from "../engine/tiling.js";
import { Model } from "../model/model.js";
import { mixed } from "../model/realism.js";
import { alphaPlane } from "./alpha.js";
import { DrawnGrid } from "./drawn_grid.js";
import { LatentGrid } from "./latent_grid.js";
import { clipped, shareOf, snap, toPart } from "./parts.js";
import { quickLook } from "./quick.js";

/** @typedef {import("../engine/tiling.js").Place} Place */
/** @typedef {import("../container/container.js").Container} Container */
/** @typedef {{x: number, y: number, width: number, height: number}} Region */
/** @typedef {Region & {data: Uint8ClampedArray<ArrayBuffer>}} Part a rectangle, red, green, blue and alpha */

/**
 * @typedef {object} Job
 * @property {Uint8Array} bytes
 * @property {number} [realism] 0 to 1
 * @property {Region | null} [region]
 * @property {number | "quick" | null} [preview] 1: without layer 1; "quick": one pixel for 32x32
 * @property {boolean} [partial] accept a file that ends early
 * @property {Partial<import("../container/header.js").Limits>} [limits]
 * @property {[number, number]} [share] which of how many threads this is
 */

/**
 * @typedef {object} Surroundings what a decoder asks for when it first needs it
 * @property {() => Promise<BufferSource | WebAssembly.Module>} module vqcodec.wasm or vqcodec-relaxed.wasm
 * @property {(bitstreamId: string) => Promise<Uint8Array>} weights
 * @property {() => Promise<import("./drawn_grid.js").Webp>} webp
 */

export class PictureDecoder {
  /** @type {Map<string, Promise<Model>>} */
  #models = new Map();
  /**
   * @type {{key: string, engine: Engine, coder: LatentCoder, arrays: ReturnType<Model["ofTune"]>, g_s: Map<number, Synthesis>} | null}
   */
  #ready = null;
  #most = 0;

  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.surroundings = surroundings;
  }

  /** Bytes of memory that an engine has had at most: what is given up is not collected at once. */
  get memoryBytes() {
    return Math.max(this.#most, this.#ready?.engine.memoryBytes ?? 0);
  }

  /**
   * Rectangles of a picture, or of a region of it, as they are decoded; of a quick preview one small picture.
   * @param {Job} job
   * @param {() => Promise<void>} pause called now and then; it may throw
   * @param {(done: number, count: number) => void} progress
   * @returns {AsyncGenerator<Part>}
   */
  async *parts(job, pause, progress) {
    const container = parsed(job),
      { header } = container,
      region = regionOf(job.region, header);
    try {
      const shown = placeOf(region);
      if (job.preview === "quick") {
        yield { x: 0, y: 0, ...(await this.#quick(container, pause)) };
        return;
      }
      const alpha = header.alpha ? await this.#alpha(container) : null;
      const finish = (/** @type {Place} */ at, /** @type {Uint8Array} */ pixels) =>
        toPart(header, alpha, shown, at, pixels);
      const networks =
        header.bitstreamId === NO_MODEL
          ? this.#alone(container, shown, job)
          : await this.#decoded(container, shown, job, pause);
      for await (const { at, pixels, done, count } of networks) {
        yield finish(at, pixels);
        progress(done, count);
        await pause();
      }
    } catch (error) {
      const broken = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
      if (broken || error instanceof VQCodecError) this.#forget(); // else it was aborted, between two steps
      throw broken ? lost(error) : error;
    }
  }

  #forget() {
    this.#most = this.memoryBytes;
    this.#ready = null;
  }

  /** @param {Container} container */
  async #alpha({ chunks, header }) {
    const chunk = chunks.find(({ type }) => type === "ALPH");
    return chunk ? alphaPlane(chunk, header, this.surroundings.webp) : null;
  }

  /** @param {Container} container */
  async #drawn({ header, drawn, drawnWhole }) {
    return header.drawn ? new DrawnGrid(drawn, drawnWhole, header, await this.surroundings.webp()) : null;
  }

  /**
   * The model of a file, and what is built of it for the file's tune.
   * @param {import("../container/header.js").Header} header
   */
  async #prepared({ bitstreamId, tune }) {
    const key = `${bitstreamId} ${tune}`;
    if (this.#ready?.key === key) return this.#ready;
    this.#forget();
    const model = await this.#model(bitstreamId);
    const engine = await Engine.start(await this.surroundings.module()),
      arrays = model.ofTune(tune);
    this.#ready = { key, engine, arrays, coder: new LatentCoder(engine, arrays.coding), g_s: new Map() };
    return this.#ready;
  }

  /** @param {string} bitstreamId */
  #model(bitstreamId) {
    let model = this.#models.get(bitstreamId);
    if (!model) {
      model = this.surroundings.weights(bitstreamId).then(async (bytes) => {
        const read = await Model.read(bytes);
        if (read.bitstreamId === bitstreamId) return read;
        throw new ModelMismatch(
          `the file needs model ${bitstreamId}, but the weights are those of ${read.bitstreamId}`,
        );
      });
      this.#models.set(bitstreamId, model);
      model.catch(() => this.#models.delete(bitstreamId));
    }
    return model;
  }

  /** @param {import("../container/header.js").Header} header @param {number} realism */
  async #synthesis(header, realism) {
    const ready = await this.#prepared(header),
      { transforms, realism: tuned } = ready.arrays;
    if (realism && !tuned.size)
      throw new ModelNotFound("the model has no perceptual decoder, which realism needs");
    let g_s = ready.g_s.get(realism);
    if (!g_s) {
      // The last one is kept.
      for (const other of ready.g_s.values()) other.end();
      ready.g_s.clear();
      g_s = new Synthesis(ready.engine, realism ? mixed(transforms, tuned, realism) : transforms);
      ready.g_s.set(realism, g_s);
    }
    return { g_s, coder: ready.coder };
  }

  /** @param {Container} container @param {() => Promise<void>} pause */
  async #quick(container, pause) {
    const { header } = container;
    if (header.bitstreamId === NO_MODEL) throw new UnsuitableOption("no quick preview: everything is drawn");
    const { coder, arrays } = await this.#prepared(header);
    return quickLook(coder, arrays.transforms, container, pause);
  }

  /**
   * Windows with a part in the networks.
   * @param {Container} container
   * @param {Place} shown
   * @param {Job} job
   * @param {() => Promise<void>} pause
   */
  async #decoded(container, shown, job, pause) {
    const { header, segments, drawnWhole } = container,
      { realism = 0 } = job;
    if (!(realism >= 0 && realism <= 1))
      throw new UnsuitableOption(`realism must be from 0 to 1, not ${realism}`);
    const { g_s, coder } = await this.#synthesis(header, realism);
    const rows = Math.ceil(header.height / BLOCK),
      columns = Math.ceil(header.width / BLOCK);
    const layers = segments.map((own, n) => (drawnWhole[n] ? null : own));
    const grid = new LatentGrid(coder, layers, rows, columns, header.level, header.tile / BLOCK);
    const pieces = shareOf(windowsOf(header, shown), job.share),
      drawn = await this.#drawn(container);
    return (async function* () {
      for (const [n, piece] of pieces.entries()) {
        const whole = scaled(piece.inner, BLOCK),
          at = /** @type {Place} */ (overlap(whole, shown));
        let pixels = new Uint8Array(3 * height(at) * width(at));
        if (grid.seen(piece.inner)) {
          await grid.prepare(piece.outer, pause);
          const made = g_s.pixels((wanted, out) => grid.fill(wanted, out), header.level, piece);
          pixels = clipped(made, whole, at);
          snap(pixels, header.ignorable);
        }
        await drawn?.paste(at, pixels);
        yield { at, pixels, done: n + 1, count: pieces.length };
      }
    })();
  }

  /**
   * Tiles of a picture that no networks have a part in.
   * @param {Container} container
   * @param {Place} shown
   * @param {Job} job
   */
  async *#alone(container, shown, job) {
    const drawn = /** @type {DrawnGrid} */ (await this.#drawn(container));
    const own = shareOf(tilesOf(container.header, shown), job.share);
    for (const [n, at] of own.entries()) {
      const pixels = new Uint8Array(3 * height(at) * width(at));
      await drawn.paste(at, pixels);
      yield { at, pixels, done: n + 1, count: own.length };
    }
  }
}

/** @param {Job} job */
function parsed({ bytes, preview, partial = false, limits = {} }) {
  if (preview != null && preview !== "quick" && ![1, LAYERS].includes(preview)) {
    throw new UnsuitableOption(`preview must be "quick", or 1 to ${LAYERS}, not ${preview}`);
  }
  const layers = preview === "quick" || preview == null ? (preview ? 1 : LAYERS) : preview;
  return parse(bytes, { limits: limitsOf(limits), partial, layers });
}

/**
 * @param {Region | null | undefined} region
 * @param {import("../container/header.js").Header} header
 * @returns {Region}
 */
export function regionOf(region, header) {
  const { x, y, width: wide, height: tall } = region ?? { x: 0, y: 0, ...header };
  const inside =
    [x, y, wide, tall].every(Number.isInteger) &&
    x >= 0 &&
    y >= 0 &&
    x + wide <= header.width &&
    y + tall <= header.height;
  if (!inside || wide <= 0 || tall <= 0) {
    throw new UnsuitableOption(
      `region ${x},${y},${wide},${tall} is not within ${header.width}x${header.height}`,
    );
  }
  return { x, y, width: wide, height: tall };
}

/** @param {Region} region */
const placeOf = ({ x, y, width: wide, height: tall }) => place(y, x, y + tall, x + wide);

/** What the networks decode at once. @param {import("../container/header.js").Header} header @param {Place} shown */
function windowsOf(header, shown) {
  const rows = Math.ceil(header.height / BLOCK),
    columns = Math.ceil(header.width / BLOCK);
  const span = place(
    Math.floor(shown.top / BLOCK),
    Math.floor(shown.left / BLOCK),
    Math.ceil(shown.bottom / BLOCK),
    Math.ceil(shown.right / BLOCK),
  );
  return windows(rows, columns, span);
}

/** What is shown of each tile. @param {import("../container/header.js").Header} header @param {Place} shown */
const tilesOf = (header, shown) =>
  tiles(header.height, header.width, header.tile)
    .map((tile) => overlap(tile, shown))
    .filter((at) => at !== null);

/**
 * How many parts a region is decoded in, of which threads have shares.
 * @param {import("../container/header.js").Header} header
 * @param {Region} region
 */
export function partCount(header, region) {
  const parts = header.bitstreamId === NO_MODEL ? tilesOf : windowsOf;
  return parts(header, placeOf(region)).length;
}

/** What a trap of the module, or an array too large, means. @param {Error} error */
function lost(error) {
  return new LimitExceeded(`the picture needs more than the decoder has (${error.message})`);
}
