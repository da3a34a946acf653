/** A weights file in memory: that of a model, or its decoder's half as `vqcodec models export-decoder` writes it. */
import { ModelNotFound, VQCodecError } from "../errors.js";
import { hex } from "../container/header.js";
import { unpackTensors } from "./packed.js";
import { readSafetensors } from "./safetensors.js";

/** @typedef {import("./safetensors.js").Tensor} Tensor */
/** @typedef {Map<string, Tensor>} Arrays */

const FORMAT = "vqcodec-weights-1",
  PACKED = "vqcodec-decoder-1";
const CODING = "coding.",
  REALISM = "realism.",
  G_S = "g_s.";
/** @type {Record<string, string[]>} */
const IDS = { bitstream_id: [CODING], decoder_id: [G_S, "log_gain"], realism_id: [REALISM] };
const TUNES = ["eyes", "psnr"],
  TABLES = /(modulation|log_gain|bias)$/;

export class Model {
  /**
   * @param {string} name @param {Record<string, string>} ids fingerprints by their names
   * @param {Arrays} coding @param {Arrays} transforms @param {Arrays} realism
   */
  constructor(name, ids, coding, transforms, realism) {
    this.name = name;
    this.bitstreamId = ids.bitstream_id;
    this.decoderId = ids.decoder_id;
    this.realismId = ids.realism_id ?? null;
    this.coding = coding;
    this.transforms = transforms;
    this.realism = realism;
  }

  /**
   * Read a weights file and check it against its own fingerprints.
   * @param {Uint8Array} bytes
   */
  static async read(bytes) {
    try {
      const { tensors: stored, metadata } = readSafetensors(bytes);
      if (metadata.format !== FORMAT && metadata.format !== PACKED) {
        throw new ModelNotFound(`not a weights file of format ${FORMAT} or ${PACKED}`);
      }
      const tensors = metadata.format === PACKED ? await unpackTensors(stored, metadata.tensors) : stored;
      const ids = await checkedIds(tensors, metadata);
      const part = (/** @type {string} */ prefix, to = "") =>
        new Map(
          [...tensors]
            .filter(([name]) => name.startsWith(prefix))
            .map(([name, t]) => [to + name.slice(prefix.length), t]),
        );
      const transforms = new Map(
        [...tensors].filter(([name]) => IDS.decoder_id.some((begin) => name.startsWith(begin))),
      );
      return new Model(metadata.name ?? "", ids, part(CODING), transforms, part(REALISM, G_S));
    } catch (error) {
      if (error instanceof VQCodecError) throw error;
      throw new ModelNotFound(`cannot load weights: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** The arrays of one tune; a model with one is the same for both. @param {string} tune */
  ofTune(tune) {
    const two = this.transforms.get("log_gain")?.shape.length === 3,
      number = TUNES.indexOf(tune);
    const [coding, transforms, realism] = [this.coding, this.transforms, this.realism].map((arrays) =>
      two ? new Map([...arrays].map(([name, tensor]) => [name, tuned(name, tensor, number)])) : arrays,
    );
    return { coding, transforms, realism };
  }
}

/** @param {string} name @param {Tensor} tensor @param {number} number @returns {Tensor} */
function tuned(name, { dtype, shape, data }, number) {
  if (!TABLES.test(name) || shape.length !== 3) return { dtype, shape, data };
  const size = shape[1] * shape[2];
  return { dtype, shape: shape.slice(1), data: data.slice(number * size, (number + 1) * size) };
}

/** @param {Arrays} tensors @param {Record<string, string>} stated */
async function checkedIds(tensors, stated) {
  /** @type {Record<string, string>} */
  const ids = {};
  for (const [key, begins] of Object.entries(IDS)) {
    const names = [...tensors.keys()].filter((name) => begins.some((begin) => name.startsWith(begin)));
    if (!names.length && key === "realism_id") continue;
    ids[key] = await fingerprint(tensors, names.sort());
    if (ids[key] !== stated[key]) {
      throw new ModelNotFound("weights do not match their own fingerprints; the file is damaged");
    }
  }
  return ids;
}

/**
 * First 8 bytes of SHA-256 over named arrays (FORMAT.md, "Model data").
 * @param {Arrays} tensors @param {string[]} names
 */
async function fingerprint(tensors, names) {
  if (!globalThis.crypto?.subtle) {
    throw new ModelNotFound("weights can only be checked on a secure page: https, or localhost");
  }
  const parts = names.flatMap((name) => {
    const { dtype, shape, data } = /** @type {Tensor} */ (tensors.get(name));
    return [new TextEncoder().encode(`${name}:${dtype}:${shape.join()}\n`), new Uint8Array(data.buffer)];
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", all)).subarray(0, 8));
}

/** An array that must be there. @param {Arrays} arrays @param {string} name @returns {Tensor} */
export function need(arrays, name) {
  const tensor = arrays.get(name);
  if (!tensor) throw new ModelNotFound(`the weights lack ${name}`);
  return tensor;
}
