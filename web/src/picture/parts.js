/** From pixels of the networks to parts of a picture. */
import { BLACK, WHITE } from "../container/header.js";
import { height, width, within } from "../engine/tiling.js";

const NEAR = 4;

/** @typedef {import("../engine/tiling.js").Place} Place */
/** @typedef {import("./decoder.js").Part} Part */

/**
 * A thread's part of some work, as much as the others'.
 * @template T
 * @param {T[]} all
 * @param {[number, number]} [share]
 */
export function shareOf(all, [number, count] = [0, 1]) {
  return all.slice(
    Math.round((number * all.length) / count),
    Math.round(((number + 1) * all.length) / count),
  );
}

/**
 * Pixels of a place from those of what holds it.
 * @param {Uint8Array} pixels
 * @param {Place} whole
 * @param {Place} part
 */
export function clipped(pixels, whole, part) {
  const { top, left } = within(part, whole),
    row = 3 * width(part),
    result = new Uint8Array(row * height(part));
  for (let y = 0; y < height(part); y++) {
    const first = 3 * ((top + y) * width(whole) + left);
    result.set(pixels.subarray(first, first + row), y * row);
  }
  return result;
}

/**
 * What is nearly white or black is made so, as the file's flags tell.
 * @param {Uint8Array} pixels
 * @param {number} flags
 */
export function snap(pixels, flags) {
  if (!(flags & (WHITE | BLACK))) return;
  for (let i = 0; i < pixels.length; i += 3) {
    const [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    if (flags & WHITE && Math.min(r, g, b) >= 255 - NEAR) pixels.fill(255, i, i + 3);
    else if (flags & BLACK && Math.max(r, g, b) <= NEAR) pixels.fill(0, i, i + 3);
  }
}

/**
 * @param {import("../container/header.js").Header} header
 * @param {Uint8Array | null} alpha
 * @param {Place} shown
 * @param {Place} at
 * @param {Uint8Array} pixels
 * @returns {Part}
 */
export function toPart(header, alpha, shown, at, pixels) {
  const count = height(at) * width(at),
    data = new Uint8ClampedArray(4 * count);
  for (let i = 0, from = 0, to = 0; i < count; i++, from += 3, to += 4) {
    let r = pixels[from],
      g = pixels[from + 1],
      b = pixels[from + 2];
    if (header.gray) r = g = b = Math.floor((r + g + b + 1) / 3);
    data[to] = r;
    data[to + 1] = g;
    data[to + 2] = b;
    data[to + 3] = 255;
  }
  if (alpha) {
    for (let y = at.top, to = 3; y < at.bottom; y++) {
      for (let i = y * header.width + at.left; i < y * header.width + at.right; i++, to += 4)
        data[to] = alpha[i];
    }
  }
  const { top: y, left: x } = within(at, shown);
  return { x, y, width: width(at), height: height(at), data };
}
