/**
 * Tensors of a decoder's weights file: bytes deflated, after a filter that makes them more alike.
 *
 * The file's metadata has `tensors`, JSON: name -> [dtype, shape, filter]. Filters, on bytes modulo 256:
 *   planes  all first bytes of the elements, then all second ones, ...
 *   turned  the last axis stands first
 *   rows    differences along the second axis
 *   twin    differences from the tensor g_s.X, of a tensor realism.X; planes of them
 */
import { ModelNotFound } from "../errors.js";
import { inflate } from "../container/inflate.js";
import { ARRAYS } from "./safetensors.js";

/** @typedef {import("./safetensors.js").Tensor} Tensor */

/**
 * @param {Map<string, Tensor>} stored
 * @param {string} index
 * @returns {Promise<Map<string, Tensor>>}
 */
export async function unpackTensors(stored, index) {
  const entries = Object.entries(JSON.parse(index));
  const bodies = await Promise.all(
    entries.map(async ([name, [dtype, shape]]) => {
      const size = shape.reduce(
        (/** @type {number} */ a, /** @type {number} */ b) => a * b,
        ARRAYS[dtype].BYTES_PER_ELEMENT,
      );
      const body = await inflate(stored.get(name)?.data, size);
      if (body.length !== size) throw new ModelNotFound(`not a weights file: ${name}`);
      return body;
    }),
  );
  /** @type {Map<string, Tensor>} */
  const tensors = new Map();
  entries.forEach(([name, [dtype, shape, filter]], n) => {
    const kind = ARRAYS[dtype],
      width = kind.BYTES_PER_ELEMENT;
    let bytes = bodies[n];
    if (filter === "turned") bytes = unturned(bytes, shape);
    else if (filter === "rows") addRows(bytes, shape);
    else bytes = joinPlanes(bytes, width);
    const data = new kind(bytes.buffer);
    if (filter === "twin") {
      const twin = tensors.get(name.replace("realism.", "g_s."));
      if (!twin) throw new ModelNotFound(`not a weights file: ${name}`);
      for (let i = 0; i < data.length; i++) data[i] += twin.data[i];
    }
    tensors.set(name, { dtype, shape, data });
  });
  return tensors;
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {number} width */
function joinPlanes(bytes, width) {
  if (width === 1) return bytes;
  const count = bytes.length / width,
    joined = new Uint8Array(bytes.length);
  for (let plane = 0, at = 0; plane < width; plane++) {
    for (let i = 0; i < count; i++, at++) joined[i * width + plane] = bytes[at];
  }
  return joined;
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {number[]} shape */
function unturned(bytes, shape) {
  const last = shape[shape.length - 1],
    rows = bytes.length / last,
    result = new Uint8Array(bytes.length);
  for (let c = 0, at = 0; c < last; c++)
    for (let r = 0; r < rows; r++, at++) result[r * last + c] = bytes[at];
  return result;
}

/** @param {Uint8Array<ArrayBuffer>} bytes @param {number[]} shape */
function addRows(bytes, [count, rows, ...rest]) {
  const row = rest.reduce((a, b) => a * b, 1);
  for (let block = 0; block < count; block++) {
    for (let i = block * rows * row + row; i < (block + 1) * rows * row; i++) bytes[i] += bytes[i - row];
  }
}
