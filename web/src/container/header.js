/** The fixed header of a file (FORMAT.md, "Fixed header"); limits come before anything is allocated. */
import { CorruptData, LimitExceeded, Truncated, UnsupportedVersion } from "../errors.js";
import { where } from "./cursor.js";
import { DRAWN_SIDE_MAX } from "./drawn.js";

/**
 * @typedef {object} Limits upper bounds of header values; 0 turns one off
 * @property {number} pixels
 * @property {number} side
 * @property {number} tiles
 * @property {number} metadata bytes
 */

/** A picture takes 4 bytes a pixel here, and a page has some 600 MB. @type {Limits} */
export const DEFAULT_LIMITS = Object.freeze({
  pixels: 2 ** 25,
  side: 32768,
  tiles: 2 ** 16,
  metadata: 2 ** 24,
});

/** @param {Partial<Limits>} [asked] @returns {Limits} what is asked for, and the usual ones beside it */
export function limitsOf({ pixels, side, tiles, metadata } = {}) {
  return {
    pixels: pixels ?? DEFAULT_LIMITS.pixels,
    side: side ?? DEFAULT_LIMITS.side,
    tiles: tiles ?? DEFAULT_LIMITS.tiles,
    metadata: metadata ?? DEFAULT_LIMITS.metadata,
  };
}

export const LEVEL_MAX = 252,
  LAYERS = 2,
  NO_MODEL = "0".repeat(16);
export const NEUTRAL = 1,
  WHITE = 2,
  BLACK = 4;
const MAGIC = [0x89, 0x56, 0x51, 0x43],
  MAJOR = 1,
  SIDE_MAX = 65535,
  TILE_UNIT = 64,
  TILE_UNITS_MAX = 1023;
const CHUNKS = 1,
  PSNR = 2,
  DRAWN = 4,
  BARE = 8,
  GRAY = 1,
  ALPHA = 2,
  CODER_ID = 1;

/**
 * @typedef {object} Header
 * @property {number} width
 * @property {number} height
 * @property {number} level 0 to 252
 * @property {string} bitstreamId 16 hexadecimal digits
 * @property {boolean} gray
 * @property {boolean} alpha
 * @property {number} tile side in pixels, 0 for one tile
 * @property {number} minor
 * @property {number} ignorable flags
 * @property {"eyes" | "psnr"} tune
 * @property {boolean} drawn has a drawn layer
 * @property {boolean} bare is nothing but one lossless tile of it
 * @property {boolean} chunks has chunks
 */

/** @param {Uint8Array} bytes */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether bytes begin as a .vqc file does. @param {Uint8Array} data */
export const isVqc = (data) => data.length >= 4 && MAGIC.every((byte, i) => data[i] === byte);

/**
 * @param {import("./cursor.js").Cursor} cursor
 * @param {Limits} limits
 * @returns {Header}
 */
export function readHeader(cursor, limits) {
  const given = cursor.data.subarray(0, MAGIC.length);
  if (!given.length) throw new Truncated("the file is empty");
  if (given.some((byte, i) => byte !== MAGIC[i])) throw new CorruptData("this is not a .vqc file");
  cursor.take(MAGIC.length, "magic");
  const major = cursor.byte("major version");
  if (major !== MAJOR) {
    throw new UnsupportedVersion(where("major version", 4, `${major} is not supported, only ${MAJOR}`));
  }
  const minor = cursor.byte("minor version");
  const critical = knownBits(cursor, "critical flags", CHUNKS | PSNR | DRAWN | BARE);
  const bare = Boolean(critical & BARE);
  if (bare && (critical & (DRAWN | PSNR)) !== DRAWN) {
    throw new CorruptData(where("critical flags", 6, "a bare file without a drawn layer, or with a tune"));
  }
  const ignorable = cursor.byte("ignorable flags");
  // What a bare file leaves out has one value each.
  const bitstreamId = bare ? NO_MODEL : hex(cursor.take(8, "bitstream_id"));
  let at = cursor.offset;
  const width = cursor.varint("width"),
    height = cursor.varint("height");
  checkSize(width, height, at, limits);
  if (bare && Math.max(width, height) > DRAWN_SIDE_MAX) {
    throw new CorruptData(where("width, height", at, `a bare file is at most ${DRAWN_SIDE_MAX} a side`));
  }
  at = cursor.offset;
  const level = bare ? LEVEL_MAX : cursor.byte("level");
  if (level > LEVEL_MAX) throw new CorruptData(where("level", at, `${level} is above ${LEVEL_MAX}`));
  const colour = knownBits(cursor, "colour", GRAY | ALPHA);
  at = cursor.offset;
  const units = bare ? 0 : cursor.varint("tile");
  if (units > TILE_UNITS_MAX) throw new CorruptData(where("tile", at, `${units} is above ${TILE_UNITS_MAX}`));
  const coderAt = cursor.offset,
    coder = bare ? CODER_ID : cursor.byte("coder_id");
  if (coder !== CODER_ID) {
    throw new UnsupportedVersion(where("coder_id", coderAt, `entropy coder ${coder} is not supported`));
  }
  /** @type {Header} */
  const header = {
    width,
    height,
    level,
    bitstreamId,
    minor,
    ignorable,
    gray: Boolean(colour & GRAY),
    alpha: Boolean(colour & ALPHA),
    tile: units * TILE_UNIT,
    tune: critical & PSNR ? "psnr" : "eyes",
    drawn: Boolean(critical & DRAWN),
    bare,
    chunks: Boolean(critical & CHUNKS),
  };
  const tiles = tileCount(header);
  if (limits.tiles && tiles > limits.tiles) {
    throw new LimitExceeded(where("tile", at, `${tiles} tiles exceed the limit of ${limits.tiles}`));
  }
  return header;
}

/** @param {Header} header */
export function tileCount({ width, height, tile }) {
  return tile === 0 ? 1 : Math.ceil(width / tile) * Math.ceil(height / tile);
}

/** Width and height of each tile, in the order of their numbers. @param {Header} header */
export function* tileSizes({ width, height, tile }) {
  const wide = tile || width,
    tall = tile || height;
  for (let top = 0; top < height; top += tall) {
    for (let left = 0; left < width; left += wide) {
      yield [Math.min(wide, width - left), Math.min(tall, height - top)];
    }
  }
}

/**
 * A byte whose unknown bits change the meaning of the file.
 * @param {import("./cursor.js").Cursor} cursor @param {string} name @param {number} known
 */
function knownBits(cursor, name, known) {
  const at = cursor.offset,
    bits = cursor.byte(name),
    unknown = bits & ~known;
  if (unknown) {
    const lowest = 31 - Math.clz32(unknown & -unknown);
    throw new UnsupportedVersion(
      where(name, at, `bit ${lowest} is not supported, a newer decoder is needed`),
    );
  }
  return bits;
}

/** @param {number} width @param {number} height @param {number} at @param {Limits} limits */
function checkSize(width, height, at, limits) {
  const name = "width, height",
    said = `${width}x${height}`;
  if (width === 0 || height === 0) throw new CorruptData(where(name, at, `${said} is empty`));
  const side = limits.side ? Math.min(limits.side, SIDE_MAX) : SIDE_MAX;
  if (Math.max(width, height) > side) {
    throw new LimitExceeded(where(name, at, `${said} exceeds the side limit of ${side}`));
  }
  if (limits.pixels && width * height > limits.pixels) {
    throw new LimitExceeded(where(name, at, `${said} pixels exceed the limit of ${limits.pixels}`));
  }
}
