/** What is inside metadata and alpha chunks, inflated no further than it may be. */
import { CorruptData, LimitExceeded } from "../errors.js";
import { inflate } from "./inflate.js";
import { profileBytes } from "./profiles.js";

/**
 * The content of a metadata chunk.
 * @param {import("./chunks.js").Chunk} chunk
 * @param {number} most bytes of it
 */
export async function unpackMetadata({ type, data }, most) {
  const body = data.subarray(1);
  const raw = data[0] === 0 ? body : data[0] === 2 ? profileBytes(body[0]) : await inflated(type, body, most);
  if (raw.length > most)
    throw new LimitExceeded(`chunk '${type}': content exceeds the metadata limit of ${most}`);
  if (!raw.length) throw new CorruptData(`chunk '${type}': empty content`);
  return raw;
}

/**
 * The alpha plane, row by row.
 * @param {import("./chunks.js").Chunk} chunk
 * @param {import("./header.js").Header} header
 */
export async function unpackAlpha({ type, data }, { width, height }) {
  const size = width * height,
    plane = await inflated(type, data.subarray(1), size);
  if (plane.length !== size) throw new CorruptData(`chunk 'ALPH': the plane is not ${size} bytes`);
  if (data[0] === 1) for (let i = width; i < size; i++) plane[i] += plane[i - width];
  return plane;
}

/** @param {string} type @param {Uint8Array} body @param {number} most */
async function inflated(type, body, most) {
  const raw = await inflate(body, most).catch(() => null);
  if (!raw) throw new CorruptData(`chunk '${type}': damaged deflated data`);
  return raw;
}
