/** The drawn layer, decoded tile by tile, and put over the pixels of the networks. */
import { isOpaque, withFrame } from "../container/drawn.js";
import { CorruptData, LimitExceeded } from "../errors.js";
import { height, overlap, tiles, width, within } from "../engine/tiling.js";

const GRAY = 128;
/** Pixels of a tile; WebP is decoded as a whole, and takes four times 4 bytes for each. */
export const MOST_DRAWN = 2 ** 24;

/** @typedef {import("../engine/tiling.js").Place} Place */
/**
 * @typedef {(bytes: Uint8Array) => Promise<{data: Uint8ClampedArray, width: number, height: number} | null>} Webp
 */

export class DrawnGrid {
  /**
   * Tiles that are decoded and still needed; null pixels are gray.
   * @type {{tile: Place, rgba: Uint8ClampedArray | null}[]}
   */
  #decoded = [];

  /**
   * @param {(Uint8Array | null)[]} drawn of each tile, empty where there is none, null where it is missing
   * @param {boolean[]} whole tiles that are nothing else
   * @param {import("../container/header.js").Header} header
   * @param {Webp} webp decodes a file to red, green, blue and alpha
   */
  constructor(drawn, whole, header, webp) {
    this.places = tiles(header.height, header.width, header.tile);
    this.webp = webp;
    this.waiting = this.places
      .map((tile, n) => ({ tile, data: drawn[n], alone: whole[n] }))
      .filter(({ data, alone }) => data?.length || (alone && data === null));
  }

  /**
   * Put what is drawn over pixels (h, w, 3) of a place; tiles that end above it are dropped.
   * @param {Place} place
   * @param {Uint8Array} pixels
   */
  async paste(place, pixels) {
    this.#decoded = this.#decoded.filter(({ tile }) => tile.bottom > place.top);
    const waiting = [];
    for (const entry of this.waiting) {
      if (overlap(entry.tile, place)) this.#decoded.push(await this.#decode(entry));
      else waiting.push(entry);
    }
    this.waiting = waiting;
    for (const { tile, rgba } of this.#decoded) {
      const shared = overlap(tile, place);
      if (!shared) continue;
      const from = within(shared, tile),
        to = within(shared, place);
      for (let y = 0; y < height(shared); y++) {
        let source = 4 * ((from.top + y) * width(tile) + from.left);
        let target = 3 * ((to.top + y) * width(place) + to.left);
        for (let x = 0; x < width(shared); x++, source += 4, target += 3) {
          if (rgba && !rgba[source + 3]) continue;
          for (let c = 0; c < 3; c++) pixels[target + c] = rgba ? rgba[source + c] : GRAY;
        }
      }
    }
  }

  /** @param {{tile: Place, data: Uint8Array | null}} entry */
  async #decode({ tile, data }) {
    if (!data) return { tile, rgba: null };
    if (width(tile) * height(tile) > MOST_DRAWN) {
      throw new LimitExceeded(`a drawn tile has more than ${MOST_DRAWN} pixels`);
    }
    const image = await this.webp(withFrame(data)).catch(() => null);
    if (!image || image.width !== width(tile) || image.height !== height(tile)) {
      throw new CorruptData("drawn tile: the image data does not decode");
    }
    const rgba = image.data;
    // Its bits of alpha mean nothing then, whatever they are.
    if (isOpaque(data)) for (let i = 3; i < rgba.length; i += 4) rgba[i] = 255;
    for (let i = 3; i < rgba.length; i += 4) {
      if (rgba[i] !== 0 && rgba[i] !== 255)
        throw new CorruptData("drawn tile: pixels that are opaque in part");
    }
    return { tile, rgba };
  }
}
