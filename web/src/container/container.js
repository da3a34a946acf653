/** A file as a whole: header, chunks, table of contents, segments (FORMAT.md, "File structure"). */
import { CorruptData, Truncated } from "../errors.js";
import { readChunks, readCount } from "./chunks.js";
import { crc32 } from "./crc32.js";
import { Cursor, VARINT_MAX, where } from "./cursor.js";
import { LOSSLESS, checkDrawn } from "./drawn.js";
import { DEFAULT_LIMITS, LAYERS, NO_MODEL, readHeader, tileCount, tileSizes } from "./header.js";

const WORD = 4,
  CRC = 4,
  ID_OFFSET = 8;

/**
 * @typedef {object} Front what stands before the segments
 * @property {import("./header.js").Header} header
 * @property {import("./chunks.js").Chunk[]} chunks
 * @property {number[]} lengths bytes of each segment, in file order
 * @property {number} dataOffset of the first segment
 * @property {number[]} layerEnds offsets at which layers end; the last is the size of the file
 */

/**
 * @typedef {Front & {
 *   segments: (Uint8Array | null)[][],
 *   drawn: (Uint8Array | null)[],
 *   drawnWhole: boolean[],
 *   complete: boolean,
 * }} Container segments are [tile][layer], null where missing; drawn is by tile, empty without such a layer;
 *   drawnWhole tells which tiles have nothing else
 */

/**
 * Read what stands before the segments, from the first bytes of a file.
 * @param {Uint8Array} data
 * @param {import("./header.js").Limits} [limits]
 * @param {boolean} [coded] the bytes are to hold the coarse layer of all tiles, too
 * @returns {Front}
 */
export function probe(data, limits = DEFAULT_LIMITS, coded = false) {
  const cursor = new Cursor(data);
  const header = readHeader(cursor, limits);
  const count = header.chunks ? readCount(cursor) : 0;
  let crc = crc32(data.subarray(0, cursor.offset));
  const chunks = readChunks(cursor, count, header, limits);
  const tiles = tileCount(header),
    segments = tiles * (LAYERS + (header.drawn ? 1 : 0));
  // A bare file tells the bytes of its one segment that is not empty, others the words of all.
  const [entries, unit] = header.bare ? [1, 1] : [segments, WORD];
  // Nothing is built per tile until the data proves long enough.
  const least = entries + CRC + (coded ? tiles * stored(WORD) : 0);
  cursor.require(least, `table of contents and segments of ${tiles} tiles`);
  const start = cursor.offset,
    lengths = [],
    offsets = [];
  for (let entry = 0; entry < entries; entry++) {
    offsets.push(cursor.offset);
    const units = cursor.varint("table of contents");
    if (units > Math.floor(VARINT_MAX / unit)) {
      throw new CorruptData(
        where("table of contents", offsets[entry], `a segment of ${units} words is too long`),
      );
    }
    lengths.push(units * unit);
  }
  for (let entry = entries; entry < segments; entry++) {
    offsets.push(start);
    lengths.push(0);
  }
  crc = crc32(data.subarray(start, cursor.offset), crc);
  const at = cursor.offset;
  if (cursor.u32("header CRC") !== crc) {
    throw new CorruptData(where("header CRC", at, "wrong checksum of header and table of contents"));
  }
  checkLengths(header, lengths, offsets);
  return {
    header,
    chunks,
    lengths,
    dataOffset: cursor.offset,
    layerEnds: layerEnds(header, lengths, cursor.offset),
  };
}

/**
 * Read a file and check its structure and all checksums; no segment is decoded.
 * @param {Uint8Array} data
 * @param {{limits?: import("./header.js").Limits, partial?: boolean, layers?: number}} [options]
 *   partial: accept data that ends early; layers: read only so many of them, and nothing behind
 * @returns {Container}
 */
export function parse(data, { limits = DEFAULT_LIMITS, partial = false, layers = LAYERS } = {}) {
  const front = probe(data, limits, !partial),
    { header, layerEnds: ends } = front;
  const tiles = tileCount(header),
    end = ends[layers - 1];
  if (data.length < end && !partial) {
    const what = layers === LAYERS ? `the file has ${end} bytes` : `${end} bytes are needed`;
    throw new Truncated(
      where("segments", front.dataOffset, `${what} but the data ends after ${data.length}`),
    );
  }
  if (layers === LAYERS && data.length > end) {
    throw new CorruptData(where("end of file", end, `${data.length - end} more bytes follow`));
  }
  const segments = readSegments(new Cursor(data.subarray(0, end), front.dataOffset), front);
  const first = header.drawn ? tiles : 0,
    byTile = [],
    drawnWhole = [];
  for (let tile = 0; tile < tiles; tile++) {
    byTile.push(Array.from({ length: LAYERS }, (_, layer) => segments[first + layer * tiles + tile]));
    drawnWhole.push(header.drawn && front.lengths[tiles + tile] === 0);
  }
  const complete = !segments.slice(0, first + layers * tiles).includes(null);
  return { ...front, segments: byTile, drawn: segments.slice(0, first), drawnWhole, complete };
}

/**
 * Segments in file order, null from the first one on that is not wholly there.
 * @param {Cursor} cursor
 * @param {Front} front
 */
function readSegments(cursor, { header, lengths }) {
  const tiles = tileCount(header),
    drawn = header.drawn ? 1 : 0,
    sizes = tileSizes(header);
  /** @type {(Uint8Array | null)[]} */
  const segments = new Array(lengths.length).fill(null);
  for (let entry = 0; entry < lengths.length && cursor.left >= stored(lengths[entry]); entry++) {
    const at = cursor.offset,
      tile = entry % tiles,
      layer = Math.floor(entry / tiles) - drawn;
    const name = `segment of tile ${tile}, ${layer >= 0 ? `layer ${layer}` : "drawn layer"}`;
    const segment = cursor.take(lengths[entry], name);
    if (segment.length && cursor.u32(`${name} CRC`) !== crc32(segment))
      throw new CorruptData(where(name, at, "wrong checksum"));
    if (layer < 0) {
      const size = sizes.next().value ?? [],
        whole = lengths[tiles + tile] === 0;
      if (segment.length) {
        checkDrawn(segment, name, at, size, whole);
        checkForm(header, name, at, whole && tiles === 1 && segment[0] === LOSSLESS);
      }
    }
    segments[entry] = segment;
  }
  return segments;
}

/**
 * Check that a file is bare if its picture is one lossless tile, and only then.
 * @param {import("./header.js").Header} header @param {string} name @param {number} at @param {boolean} all
 */
function checkForm({ bare }, name, at, all) {
  if (bare && !all) throw new CorruptData(where(name, at, "a bare file's image data is not lossless"));
  if (all && !bare) {
    const what = "one lossless tile is all of the picture, but the file is not bare";
    throw new CorruptData(where(name, at, what));
  }
}

/** Bytes of a segment of this length with its checksum, which an empty one has not. @param {number} length */
const stored = (length) => (length ? length + CRC : 0);

/** @param {import("./header.js").Header} header @param {number[]} lengths @param {number} start */
function layerEnds(header, lengths, start) {
  const tiles = tileCount(header);
  /** @type {number[]} */
  const ends = [];
  let end = start;
  lengths.forEach((length, entry) => {
    end += stored(length);
    if ((entry + 1) % tiles === 0) ends.push(end);
  });
  return header.drawn ? ends.slice(1) : ends;
}

/**
 * Check which segments are empty.
 * @param {import("./header.js").Header} header
 * @param {number[]} lengths
 * @param {number[]} offsets
 */
function checkLengths(header, lengths, offsets) {
  const tiles = tileCount(header),
    first = header.drawn ? tiles : 0,
    toc = "table of contents";
  if (header.drawn && !lengths.slice(0, tiles).some(Boolean)) {
    throw new CorruptData(where(toc, offsets[0], "a drawn layer without a segment"));
  }
  let anyCoarse = false;
  for (let tile = 0; tile < tiles; tile++) {
    const drawn = header.drawn ? lengths[tile] : 0,
      coarse = lengths[first + tile];
    if (coarse === 0 && (lengths[first + tiles + tile] || !drawn)) {
      throw new CorruptData(
        where(toc, offsets[first + tile], `the layer 0 segment of tile ${tile} is empty`),
      );
    }
    anyCoarse ||= coarse > 0;
  }
  if (header.drawn && (header.bitstreamId === NO_MODEL) === anyCoarse) {
    const what = "the id of no model contradicts the segments: it is for files that are drawn everywhere";
    throw new CorruptData(where("bitstream_id", ID_OFFSET, what));
  }
}
