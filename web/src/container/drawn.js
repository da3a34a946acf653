/** The start of a drawn segment, checked before anything decodes it (FORMAT.md, "Drawn layer"). */
import { CorruptData } from "../errors.js";
import { readU32, where } from "./cursor.js";

const FRAME = 20;
/** Longest side of a WebP file. */
export const DRAWN_SIDE_MAX = 16383;
/** First byte of VP8L; that of a key frame of VP8 is even. */
export const LOSSLESS = 0x2f;

/** Whether image data says of itself that no pixel of it is transparent. @param {Uint8Array} data */
export const isOpaque = (data) => data[0] !== LOSSLESS || !((readU32(data, 1) >>> 28) & 1);

/**
 * A WebP file of image data, which zeros may follow.
 * @param {Uint8Array} data
 */
export function withFrame(data) {
  const padded = data.length + (data.length % 2),
    file = new Uint8Array(FRAME + padded),
    view = new DataView(file.buffer);
  const text = (/** @type {number} */ at, /** @type {string} */ word) =>
    file.set(
      [...word].map((letter) => letter.charCodeAt(0)),
      at,
    );
  text(0, "RIFF");
  view.setUint32(4, padded + 12, true);
  text(8, data[0] === LOSSLESS ? "WEBPVP8L" : "WEBPVP8 ");
  view.setUint32(16, data.length, true);
  file.set(data, FRAME);
  return file;
}

/**
 * Check that a segment begins as the image data of a tile's size.
 * @param {Uint8Array} segment @param {string} name @param {number} at
 * @param {number[]} size width and height of the tile
 * @param {boolean} whole nothing else of the tile is coded
 */
export function checkDrawn(segment, name, at, size, whole) {
  const demand = (/** @type {boolean} */ right, /** @type {string} */ what) => {
    if (!right) throw new CorruptData(where(name, at, what));
  };
  demand(segment.length > 10, "no image data of WebP");
  let canvas,
    transparent = false;
  if (segment[0] === LOSSLESS) {
    const bits = readU32(segment, 1);
    canvas = [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    transparent = !isOpaque(segment);
    demand(bits >>> 29 === 0, "no image data of WebP");
  } else {
    const key = (segment[0] & 1) === 0 && segment[3] === 0x9d && segment[4] === 1 && segment[5] === 0x2a;
    demand(key, "no image data of WebP");
    canvas = [segment[6] | (segment[7] << 8), segment[8] | (segment[9] << 8)];
  }
  demand(Math.max(...size) <= DRAWN_SIDE_MAX, `the tile is longer than ${DRAWN_SIDE_MAX}`);
  const said = `the image data is of ${canvas[0]}x${canvas[1]} pixels, the tile ${size[0]}x${size[1]}`;
  demand(canvas[0] === size[0] && canvas[1] === size[1], said);
  demand(!(transparent && whole), "transparent pixels, but nothing else is coded of the tile");
}
