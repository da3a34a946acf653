/** Chunks: metadata, alpha and notes beside the coded picture (FORMAT.md, "Chunks"). */
import { CorruptData, LimitExceeded, UnsupportedVersion } from "../errors.js";
import { crc32 } from "./crc32.js";
import { where } from "./cursor.js";
import { PROFILES } from "./profiles.js";

const CHUNKS_MAX = 255,
  LEAST_BYTES = 9,
  WELL_KNOWN = 2;

/** Payload bytes at least and at most; methods: the first byte is below that, where it is not 0. */
const KNOWN = new Map(
  Object.entries({
    iCCP: { least: 2, most: Infinity, methods: 3 },
    eXIF: { least: 2, most: Infinity, methods: 2 },
    xMPd: { least: 2, most: Infinity, methods: 2 },
    mODL: { least: 1, most: 64, methods: 0 },
    dECD: { least: 8, most: 8, methods: 0 },
    ALPH: { least: 2, most: Infinity, methods: 3 },
  }),
);

/** @typedef {{type: string, data: Uint8Array}} Chunk */
/** @typedef {import("./header.js").Header} Header */
/** @typedef {import("./cursor.js").Cursor} Cursor */

/** The most bytes an ALPH payload may have. @param {Header} header */
function alphaBound({ width, height }) {
  const plane = width * height;
  return 1 + plane + Math.floor(plane / 1024) + 64;
}

/** How many chunks follow. @param {Cursor} cursor */
export function readCount(cursor) {
  const at = cursor.offset,
    count = cursor.varint("chunk count");
  if (count < 1 || count > CHUNKS_MAX) {
    throw new CorruptData(where("chunk count", at, `${count} is not in 1..${CHUNKS_MAX}`));
  }
  cursor.require(count * LEAST_BYTES, "chunks");
  return count;
}

/**
 * @param {Cursor} cursor @param {number} count @param {Header} header
 * @param {import("./header.js").Limits} limits
 * @returns {Chunk[]}
 */
export function readChunks(cursor, count, header, limits) {
  const start = cursor.offset,
    chunks = [];
  for (let n = 0; n < count; n++) chunks.push(readChunk(cursor, header, limits));
  for (const type of KNOWN.keys()) {
    if (chunks.filter((chunk) => chunk.type === type).length > 1) {
      throw new CorruptData(where("chunks", start, `chunk '${type}' stands in the file more than once`));
    }
  }
  if (header.alpha !== chunks.some((chunk) => chunk.type === "ALPH")) {
    const what = "the alpha bit of the colour field and the ALPH chunk contradict each other";
    throw new CorruptData(where("chunks", start, what));
  }
  return chunks;
}

/** @param {Cursor} cursor @param {Header} header @param {import("./header.js").Limits} limits */
function readChunk(cursor, header, limits) {
  const at = cursor.offset,
    kind = cursor.take(4, "chunk type");
  const type = String.fromCharCode(...kind),
    name = `chunk '${type.replace(/[^ -~]/g, "?")}'`;
  const length = cursor.varint(`${name} length`);
  if (type === "ALPH") {
    if (length > alphaBound(header)) {
      throw new CorruptData(where(name, at, `${length} bytes are more than this picture's alpha can need`));
    }
  } else if (limits.metadata && length > limits.metadata) {
    throw new LimitExceeded(
      where(name, at, `${length} bytes exceed the metadata limit of ${limits.metadata}`),
    );
  }
  const data = cursor.take(length, name);
  // The checksum comes before any judgement of the type: damage is no newer version.
  if (cursor.u32(`${name} CRC`) !== crc32(data, crc32(kind)))
    throw new CorruptData(where(name, at, "wrong checksum"));
  if (!/^[A-Za-z]{4}$/.test(type))
    throw new CorruptData(where(name, at, "the type is not four ASCII letters"));
  if (/^[A-Z]/.test(type) && !KNOWN.has(type)) {
    throw new UnsupportedVersion(where(name, at, "unknown critical chunk, a newer decoder is needed"));
  }
  if (type === "iCCP" && length === 2 && data[0] === WELL_KNOWN && !PROFILES.has(data[1])) {
    throw new UnsupportedVersion(where(name, at, "unknown colour profile, a newer decoder is needed"));
  }
  const problem = payloadProblem(type, data, header);
  if (problem) throw new CorruptData(where(name, at, problem));
  return { type, data };
}

/** @param {string} type @param {Uint8Array} data @param {Header} header */
function payloadProblem(type, data, header) {
  const rule = KNOWN.get(type);
  if (!rule) return null;
  const most = type === "ALPH" ? alphaBound(header) : rule.most;
  if (data.length < rule.least || data.length > most) {
    return `has a payload of ${data.length} bytes, which is outside its range`;
  }
  if (rule.methods && data[0] >= rule.methods) return `uses the unknown method ${data[0]}`;
  if (type === "iCCP" && data[0] === WELL_KNOWN) {
    if (data.length !== 2) return "has more than the number of a colour profile";
    if (Boolean(PROFILES.get(data[1])?.gray) !== header.gray) {
      return "has a colour profile for gray, or a gray one for colour";
    }
  }
  if (type === "mODL") {
    try {
      const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
      // Control characters, which would reach terminals.
      if (/[\u0000-\u001f\u007f-\u009f]/.test(text)) return "contains control characters";
    } catch {
      return "is not UTF-8";
    }
  }
  return null;
}
