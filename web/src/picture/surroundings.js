/** Where a decoder's files come from: beside this package, over HTTP or from a disk. */
import { ModelMismatch, ModelNotFound } from "../errors.js";
import { hasByteDots } from "../engine/relaxed.js";
import { readMetadata } from "../model/safetensors.js";

const DIST = new URL("../../dist/", import.meta.url).href;
const CACHE = "vqcodec-models",
  INDEX = "models.json";

/**
 * @typedef {object} Settings
 * @property {string} [module] address of vqcodec.wasm
 * @property {string} [relaxed] address of vqcodec-relaxed.wasm; none where only `module` is given
 * @property {"plain" | "relaxed"} [vectors] which of both, if not the faster one
 * @property {string} [models] address of a folder of `vqcodec models export-decoder`
 * @property {string} [webp] address of webp_dec.js, beside its webp_dec.wasm
 * @property {Uint8Array[]} [weights] weights files that are there already, searched first
 */

/** @param {Settings} [settings] @returns {import("./decoder.js").Surroundings} */
export function surroundings({
  module,
  vectors,
  relaxed = module ?? `${DIST}vqcodec-relaxed.wasm`,
  models = `${DIST}models/`,
  webp = `${DIST}webp_dec.js`,
  weights = [],
} = {}) {
  /** @type {Promise<WebAssembly.Module> | null} */
  let compiled = null;
  const plain = module ?? `${DIST}vqcodec.wasm`,
    address = () => ((vectors ? vectors === "relaxed" : hasByteDots()) ? relaxed : plain);
  /** @type {Promise<import("./drawn_grid.js").Webp> | null} */
  let decoder = null;
  return {
    module() {
      compiled ??= load(address()).then((bytes) => WebAssembly.compile(bytes));
      compiled.catch(() => (compiled = null));
      return compiled;
    },
    weights: (bitstreamId) => findWeights(bitstreamId, weights, models.replace(/\/?$/, "/")),
    webp() {
      decoder ??= webpDecoder(webp);
      decoder.catch(() => (decoder = null));
      return decoder;
    },
  };
}

/** The bytes at an address. @param {string} address @returns {Promise<Uint8Array<ArrayBuffer>>} */
async function load(address) {
  if (address.startsWith("file:")) {
    const { readFile } = await import(/* @vite-ignore */ "node:fs/promises".slice());
    try {
      return new Uint8Array(await readFile(new URL(address)));
    } catch (error) {
      throw new ModelNotFound(`${address}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const response = await fetch(address);
  if (!response.ok) throw new ModelNotFound(`${address}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {string} bitstreamId @param {Uint8Array[]} given @param {string} folder */
async function findWeights(bitstreamId, given, folder) {
  // Whether that is right is checked when it is read.
  const own = given.find((bytes) => readMetadata(bytes).bitstream_id === bitstreamId);
  if (own) return own;
  /** @type {Record<string, string>} */
  let known;
  try {
    known = JSON.parse(new TextDecoder().decode(await load(folder + INDEX)));
  } catch (error) {
    throw new ModelNotFound(`no models at ${folder} (${error instanceof Error ? error.message : error})`);
  }
  const name = Object.hasOwn(known, bitstreamId) ? known[bitstreamId] : null;
  if (!name)
    throw new ModelMismatch(
      `the file needs model ${bitstreamId}, here are: ${Object.keys(known).join(", ") || "none"}`,
    );
  return cached(folder + name, bitstreamId);
}

/**
 * Files named by fingerprints never change: fetched once. What is no such file (a server's page of excuses) is not kept.
 * @param {string} address
 * @param {string} bitstreamId
 */
async function cached(address, bitstreamId) {
  const cache =
    address.startsWith("http") && globalThis.caches ? await caches.open(CACHE).catch(() => null) : null;
  const found = await cache?.match(address);
  if (found) {
    const bytes = new Uint8Array(await found.arrayBuffer());
    if (isOf(bitstreamId, bytes)) return bytes;
  }
  const bytes = await load(address);
  if (isOf(bitstreamId, bytes)) await cache?.put(address, new Response(bytes)).catch(() => {}); // a full disk only costs the next visit
  return bytes;
}

/** @param {string} bitstreamId @param {Uint8Array} bytes */
function isOf(bitstreamId, bytes) {
  try {
    return readMetadata(bytes).bitstream_id === bitstreamId;
  } catch {
    return false;
  }
}

/**
 * libwebp, fetched when a file with a drawn layer comes.
 * @param {string} address
 * @returns {Promise<import("./drawn_grid.js").Webp>}
 */
async function webpDecoder(address) {
  try {
    const { default: start } = await import(/* @vite-ignore */ address);
    const module = await WebAssembly.compile(await load(address.replace(/\.js$/, ".wasm")));
    /** @type {(imports: WebAssembly.Imports, made: (instance: WebAssembly.Instance) => void) => object} */
    const instantiateWasm = (imports, made) => {
      const instance = new WebAssembly.Instance(module, imports);
      made(instance);
      return instance.exports;
    };
    // Compiled once, since Node 20 stood still now and then over many compilations. A new instance for each file: what a damaged one leaves behind is gone with it, and so is the memory.
    return async (bytes) => (await start({ instantiateWasm, noInitialRun: true })).decode(bytes);
  } catch (error) {
    throw new ModelNotFound(
      `no decoder for drawn layers at ${address} (${error instanceof Error ? error.message : error})`,
    );
  }
}
