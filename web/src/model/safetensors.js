/** Safetensors files: a JSON header and the tensors' bytes. */
import { ModelNotFound } from "../errors.js";

/** @typedef {{dtype: string, shape: number[], data: any}} Tensor `data` is the typed array of `dtype` */

/** @type {Record<string, [string, any]>} */
const TYPES = {
  U8: ["uint8", Uint8Array],
  I8: ["int8", Int8Array],
  I16: ["int16", Int16Array],
  I32: ["int32", Int32Array],
  U32: ["uint32", Uint32Array],
  F32: ["float32", Float32Array],
};
/** @type {Record<string, any>} */
export const ARRAYS = Object.fromEntries(Object.values(TYPES));
const HEADER_MAX = 2 ** 24;

/** The JSON header of a file, and where its tensors begin. @param {Uint8Array} bytes */
function readHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length >= 8 ? Number(view.getBigUint64(0, true)) : 0;
  if (length < 2 || length > Math.min(HEADER_MAX, bytes.length - 8))
    throw new ModelNotFound("not a weights file");
  try {
    return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))), start: 8 + length };
  } catch {
    throw new ModelNotFound("not a weights file");
  }
}

/** The string map of a file. @param {Uint8Array} bytes @returns {Record<string, string>} */
export const readMetadata = (bytes) => readHeader(bytes).header.__metadata__ ?? {};

/**
 * @param {Uint8Array} bytes
 * @returns {{tensors: Map<string, Tensor>, metadata: Record<string, string>}}
 */
export function readSafetensors(bytes) {
  const { header, start: first } = readHeader(bytes);
  const { __metadata__: metadata = {}, ...entries } = header,
    tensors = new Map();
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [start, end],
    },
  ] of Object.entries(entries)) {
    const [type, kind] = TYPES[dtype] ?? [];
    const count = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    if (!type || first + end > bytes.length || end - start !== count * kind.BYTES_PER_ELEMENT) {
      throw new ModelNotFound(`not a weights file: ${name}`);
    }
    const own = new Uint8Array(bytes.subarray(first + start, first + end)); // aligned, and of its own
    tensors.set(name, { dtype: type, shape, data: new kind(own.buffer) });
  }
  return { tensors, metadata };
}
