/** Geometry of pictures and latents: tiles, and windows with a halo. */

export const BLOCK = 16;
/** Largest side, in blocks, of a window that passes through synthesis; and blocks that it sees around one. */
export const SIDE = 96,
  HALO = 12;

/** @typedef {{top: number, left: number, bottom: number, right: number}} Place */
/** @typedef {{inner: Place, outer: Place}} Window */

/** @param {number} top @param {number} left @param {number} bottom @param {number} right @returns {Place} */
export const place = (top, left, bottom, right) => ({ top, left, bottom, right });

/** @param {Place} a */
export const height = (a) => a.bottom - a.top;
/** @param {Place} a */
export const width = (a) => a.right - a.left;
/** A place in units n times as small. @param {Place} a @param {number} n */
export const scaled = (a, n) => place(n * a.top, n * a.left, n * a.bottom, n * a.right);
/** Where a place lies in what holds another. @param {Place} a @param {Place} b */
export const within = (a, b) => place(a.top - b.top, a.left - b.left, a.bottom - b.top, a.right - b.left);

/** What two places share, null if nothing. @param {Place} a @param {Place} b */
export function overlap(a, b) {
  const both = place(
    Math.max(a.top, b.top),
    Math.max(a.left, b.left),
    Math.min(a.bottom, b.bottom),
    Math.min(a.right, b.right),
  );
  return both.top < both.bottom && both.left < both.right ? both : null;
}

/**
 * The window with a halo of at most so much.
 * @param {Window} window
 * @param {number} halo
 * @returns {Window}
 */
export function narrowed({ inner, outer }, halo) {
  const grown = place(inner.top - halo, inner.left - halo, inner.bottom + halo, inner.right + halo);
  return { inner, outer: /** @type {Place} */ (overlap(grown, outer)) };
}

/**
 * Places of tiles, row by row; `side` 0 is one tile.
 * @param {number} rows
 * @param {number} columns
 * @param {number} side
 * @returns {Place[]}
 */
export function tiles(rows, columns, side) {
  const step = side || Math.max(rows, columns),
    places = [];
  for (let top = 0; top < rows; top += step) {
    for (let left = 0; left < columns; left += step) {
      places.push(place(top, left, Math.min(top + step, rows), Math.min(left + step, columns)));
    }
  }
  return places;
}

/**
 * Cut a part of a latent into windows of nearly equal size, row by row.
 * @param {number} rows of the latent @param {number} columns @param {Place} span
 * @param {number} [side] @param {number} [halo]
 * @returns {Window[]}
 */
export function windows(rows, columns, span, side = SIDE, halo = HALO) {
  const result = [];
  for (const [top, bottom] of pieces(span.top, span.bottom, side)) {
    for (const [left, right] of pieces(span.left, span.right, side)) {
      const outer = place(
        Math.max(top - halo, 0),
        Math.max(left - halo, 0),
        Math.min(bottom + halo, rows),
        Math.min(right + halo, columns),
      );
      result.push({ inner: place(top, left, bottom, right), outer });
    }
  }
  return result;
}

/** @param {number} start @param {number} stop @param {number} side */
function pieces(start, stop, side) {
  const step = Math.ceil((stop - start) / Math.ceil((stop - start) / side)),
    result = [];
  for (let first = start; first < stop; first += step) result.push([first, Math.min(first + step, stop)]);
  return result;
}
