/**
 * Decoding .vqc pictures in browsers and in Node.
 *
 *     import { decode } from "vqcodec";
 *     const image = await decode(bytes);                  // ImageData
 *
 * Pixels are exactly those of the Python package, in the file's own colour space; `decodePicture` gives the colour
 * profile with them, and `toDisplay` converts.
 */
import { CorruptData, LimitExceeded, Truncated } from "./errors.js";
import { probe as probeFront } from "./container/container.js";
import {
  DEFAULT_LIMITS,
  LAYERS,
  LEVEL_MAX,
  NO_MODEL,
  isVqc,
  limitsOf,
  tileCount,
} from "./container/header.js";
import { unpackMetadata } from "./container/payloads.js";
import { PROFILES } from "./container/profiles.js";
import { partCount, regionOf } from "./picture/decoder.js";
import { Pool } from "./picture/pool.js";

export {
  CorruptData,
  LimitExceeded,
  ModelMismatch,
  ModelNotFound,
  Truncated,
  UnsuitableOption,
  UnsupportedVersion,
  VQCodecError,
} from "./errors.js";
export { toDisplay } from "./picture/colour.js";
export { encodePng } from "./picture/png.js";
export { DEFAULT_LIMITS, isVqc };

const KINDS = { iCCP: "icc", eXIF: "exif", xMPd: "xmp" };
/** The browser's own, if there is one: the WebP decoder puts another in its place in Node. */
const Pixels = globalThis.ImageData;
let pool = new Pool({});

/**
 * Say where the decoder's files are, if not beside this package; threads start anew.
 * @param {import("./index.d.ts").Settings} settings
 */
export function configure(settings) {
  pool.end();
  pool = new Pool(settings);
}

/** @param {ArrayBuffer | ArrayBufferView} source */
function bytesOf(source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  throw new TypeError("bytes of a .vqc file must be an ArrayBuffer or a view of one");
}

/**
 * What a file says of itself, from its first bytes.
 * @param {ArrayBuffer | ArrayBufferView} source
 * @param {Partial<import("./index.d.ts").Limits>} [limits]
 * @returns {import("./index.d.ts").Info}
 */
export function probe(source, limits = {}) {
  const data = bytesOf(source),
    front = probeFront(data, limitsOf(limits)),
    { header, chunks } = front;
  const text = (/** @type {string} */ type) => chunks.find((chunk) => chunk.type === type)?.data;
  const model = text("mODL"),
    decoder = text("dECD"),
    icc = text("iCCP"),
    tiles = tileCount(header);
  const [fileBytes, drawn] = [front.layerEnds[LAYERS - 1], header.drawn ? front.lengths.slice(0, tiles) : []];
  return {
    width: header.width,
    height: header.height,
    gray: header.gray,
    alpha: header.alpha,
    level: header.level,
    quality: (header.level * 100) / LEVEL_MAX,
    tune: header.tune,
    version: `1.${header.minor}`,
    bitstreamId: header.bitstreamId,
    needsModel: header.bitstreamId !== NO_MODEL,
    model: model ? new TextDecoder().decode(model) : null,
    decoderId: decoder ? Array.from(decoder, (byte) => byte.toString(16).padStart(2, "0")).join("") : null,
    tiles,
    tile: header.tile,
    fileBytes,
    previewBytes: front.layerEnds[0],
    bpp: (8 * fileBytes) / (header.width * header.height),
    complete: data.length >= fileBytes,
    drawnBytes: drawn.reduce((a, b) => a + b, 0),
    profile: icc && icc[0] === 2 ? (PROFILES.get(icc[1])?.name ?? null) : null,
    metadata: Object.fromEntries(chunks.map(({ type, data: { length } }) => [type, length])),
  };
}

/**
 * Decode to pixels.
 * @param {ArrayBuffer | ArrayBufferView} source
 * @param {import("./index.d.ts").DecodeOptions} [options]
 * @returns {Promise<ImageData>}
 */
export async function decode(source, { onProgress, onPart, signal, ...asked } = {}) {
  const bytes = bytesOf(source),
    limits = limitsOf(asked.limits);
  const { realism = 0, preview = null, partial = false } = asked;
  const front = probeFront(bytes, limits, !partial),
    { header } = front;
  const region = regionOf(rectangle(asked.region), header);
  /** @type {ImageData | null} */
  let image = preview === "quick" ? null : blank(region.width, region.height);
  const job = { bytes, realism, preview, partial, limits, region };
  await pool.run(
    job,
    { pixels: region.width * region.height, parts: partCount(header, region) },
    {
      part(part) {
        image ??= blank(part.width, part.height);
        place(image, part);
        onPart?.(part);
      },
      progress: onProgress ?? (() => {}),
    },
    signal,
  );
  await unpacked(front, limits); // what is damaged there is damage, also to those who only want pixels
  return /** @type {ImageData} */ (image);
}

/**
 * Decode to pixels, with what the file says of itself and its metadata.
 * @param {ArrayBuffer | ArrayBufferView} source
 * @param {import("./index.d.ts").DecodeOptions} [options]
 * @returns {Promise<import("./index.d.ts").Picture>}
 */
export async function decodePicture(source, options = {}) {
  const bytes = bytesOf(source),
    image = await decode(bytes, options);
  return { image, info: probe(bytes, options.limits), ...(await metadataOf(bytes, options.limits)) };
}

/**
 * Colour profile, EXIF and XMP of a file, from its first bytes.
 * @param {ArrayBuffer | ArrayBufferView} source
 * @param {Partial<import("./index.d.ts").Limits>} [limits]
 */
export async function metadataOf(source, limits = {}) {
  const all = limitsOf(limits);
  return unpacked(probeFront(bytesOf(source), all), all);
}

/** @param {import("./container/container.js").Front} front @param {import("./index.d.ts").Limits} limits */
async function unpacked({ chunks }, limits) {
  /** @type {{icc?: Uint8Array, exif?: Uint8Array, xmp?: Uint8Array}} */
  const found = {};
  for (const chunk of chunks) {
    const key = KINDS[/** @type {keyof typeof KINDS} */ (chunk.type)];
    if (key)
      found[/** @type {keyof typeof found} */ (key)] = await unpackMetadata(
        chunk,
        limits.metadata || Infinity,
      );
  }
  return found;
}

/** @param {import("./index.d.ts").DecodeOptions["region"]} region */
function rectangle(region) {
  if (!Array.isArray(region)) return region ?? null;
  const [x, y, width, height] = region;
  return { x, y, width, height };
}

/** @param {number} width @param {number} height @returns {ImageData} */
function blank(width, height) {
  try {
    if (Pixels) return new Pixels(width, height);
    const data = new Uint8ClampedArray(4 * width * height);
    return /** @type {any} */ ({ width, height, data, colorSpace: "srgb" });
  } catch (error) {
    throw new LimitExceeded(`no room for ${width}x${height} pixels (${error})`);
  }
}

/** @param {ImageData} image @param {import("./picture/decoder.js").Part} part */
function place(image, { x, y, width, height, data }) {
  for (let row = 0; row < height; row++) {
    image.data.set(data.subarray(4 * row * width, 4 * (row + 1) * width), 4 * ((y + row) * image.width + x));
  }
}

/**
 * Read a file as it arrives: `onFront(info, bytes)` when its header is there, `onLayer(1, bytes)` when the coarse layer
 * is, both at most once. Bytes are all that came so far.
 * @param {ReadableStream<Uint8Array>} stream
 * @param {{onFront?: (info: import("./index.d.ts").Info, bytes: Uint8Array) => void, onLayer?: (layer: number, bytes: Uint8Array) => void}} [listener]
 * @returns {Promise<Uint8Array<ArrayBuffer>>} the whole file
 */
export async function receive(stream, { onFront, onLayer } = {}) {
  let bytes = new Uint8Array(65536),
    size = 0,
    told = 0;
  /** @type {import("./index.d.ts").Info | null} */
  let info = null;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (size + value.length > bytes.length) {
      const larger = new Uint8Array(Math.max(2 * bytes.length, size + value.length));
      larger.set(bytes.subarray(0, size));
      bytes = larger;
    }
    bytes.set(value, size);
    size += value.length;
    try {
      info ??= probe(bytes.subarray(0, size));
    } catch (error) {
      if (error instanceof Truncated) continue;
      await reader.cancel().catch(() => {});
      throw error;
    }
    if (told === 0) onFront?.(info, bytes.slice(0, size));
    told = Math.max(told, 1);
    if (told === 1 && size >= info.previewBytes) {
      told = 2;
      onLayer?.(1, bytes.slice(0, size));
    }
    if (size > info.fileBytes) {
      await reader.cancel().catch(() => {});
      throw new CorruptData(`more bytes follow the end of the file at ${info.fileBytes}`);
    }
  }
  return bytes.slice(0, size);
}
