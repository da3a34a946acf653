/** The latent of a file, decoded tile by tile as windows of it are asked for, from top to bottom. */
import { height, overlap, tiles, width, within } from "../engine/tiling.js";

/** @typedef {import("../engine/tiling.js").Place} Place */

export class LatentGrid {
  /** Tiles that are decoded and still needed. @type {{tile: Place, latent: Int16Array | Int32Array}[]} */
  #decoded = [];

  /**
   * @param {import("../engine/latent_coder.js").LatentCoder} coder
   * @param {((Uint8Array | null)[] | null)[]} segments [tile][layer]; null for a tile that is drawn whole
   * @param {number} rows @param {number} columns @param {number} level
   * @param {number} side of tiles, in positions
   */
  constructor(coder, segments, rows, columns, level, side) {
    this.coder = coder;
    this.level = level;
    this.waiting = tiles(rows, columns, side).map((tile, n) => ({ tile, layers: segments[n] }));
    this.seenTiles = this.waiting.filter(({ layers }) => layers).map(({ tile }) => tile);
  }

  /** Whether any tile within a place is not drawn whole. @param {Place} place */
  seen(place) {
    return this.seenTiles.some((tile) => overlap(tile, place));
  }

  /**
   * Decode the tiles of a place, and drop those that end above it.
   * @param {Place} place
   * @param {() => Promise<void>} pause called after each
   */
  async prepare(place, pause) {
    this.#decoded = this.#decoded.filter(({ tile }) => tile.bottom > place.top);
    const waiting = [];
    for (const entry of this.waiting) {
      const { tile, layers } = entry;
      if (!overlap(tile, place)) {
        waiting.push(entry);
      } else if (layers) {
        this.#decoded.push({
          tile,
          latent: this.coder.decode(layers, height(tile), width(tile), this.level),
        });
        await pause();
      }
    }
    this.waiting = waiting;
  }

  /**
   * Write the latent (h, w, M) of a place, which was prepared.
   * @param {Place} place
   * @param {Float32Array} out
   */
  fill(place, out) {
    const { channels } = this.coder,
      columns = width(place);
    out.fill(0);
    for (const { tile, latent } of this.#decoded) {
      const shared = overlap(tile, place);
      if (!shared) continue;
      const from = within(shared, tile),
        to = within(shared, place),
        row = width(shared) * channels;
      for (let y = 0; y < height(shared); y++) {
        const first = ((from.top + y) * width(tile) + from.left) * channels;
        out.set(latent.subarray(first, first + row), ((to.top + y) * columns + to.left) * channels);
      }
    }
  }
}
