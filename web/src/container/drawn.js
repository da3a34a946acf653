/** The frame of a drawn segment, checked before anything decodes it (FORMAT.md, "Drawn layer"). */
import { CorruptData } from "../errors.js";
import { readU32, where } from "./cursor.js";

const SIDE_MAX = 16383,
  FRAME = 20;

/**
 * Check that a segment is one simple WebP file of a tile's size.
 * @param {Uint8Array} segment @param {string} name @param {number} at
 * @param {number[]} size width and height of the tile
 * @param {boolean} whole nothing else of the tile is coded
 */
export function checkDrawn(segment, name, at, size, whole) {
  const demand = (/** @type {boolean} */ right, /** @type {string} */ what) => {
    if (!right) throw new CorruptData(where(name, at, what));
  };
  const text = (/** @type {number} */ from) => String.fromCharCode(...segment.subarray(from, from + 4));
  demand(segment.length > FRAME && text(0) === "RIFF" && text(8) === "WEBP", "not a WebP file");
  const kind = text(12),
    total = readU32(segment, 4) + 8,
    length = readU32(segment, 16);
  demand(kind === "VP8L" || kind === "VP8 ", "a WebP file of more than one plain image");
  demand(total === FRAME + length + (length % 2), "more in the WebP file than its image");
  demand(
    total <= segment.length && segment.length === Math.ceil(total / 4) * 4,
    "the WebP file and its padding are not the segment",
  );
  demand(
    segment.subarray(FRAME + length).every((byte) => byte === 0),
    "the padding is not zero",
  );
  const payload = segment.subarray(FRAME);
  let canvas,
    transparent = false;
  if (kind === "VP8L") {
    demand(length > 5 && payload[0] === 0x2f, "not a WebP file");
    const bits = readU32(payload, 1);
    canvas = [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    transparent = Boolean((bits >>> 28) & 1);
    demand(bits >>> 29 === 0, "not a WebP file");
  } else {
    const key =
      length > 10 && (payload[0] & 1) === 0 && payload[3] === 0x9d && payload[4] === 1 && payload[5] === 0x2a;
    demand(key, "not a WebP file");
    canvas = [payload[6] | (payload[7] << 8), payload[8] | (payload[9] << 8)];
  }
  demand(Math.max(...size) <= SIDE_MAX, `the tile is longer than ${SIDE_MAX}`);
  const said = `the WebP file has ${canvas[0]}x${canvas[1]} pixels, the tile ${size[0]}x${size[1]}`;
  demand(canvas[0] === size[0] && canvas[1] === size[1], said);
  demand(!(transparent && whole), "transparent pixels, but nothing else is coded of the tile");
}
