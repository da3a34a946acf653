/** The alpha plane: deflated, or the green samples of a lossless WebP file (FORMAT.md, "Chunks"). */
import { checkDrawn } from "../container/drawn.js";
import { unpackAlpha } from "../container/payloads.js";
import { CorruptData, LimitExceeded } from "../errors.js";
import { MOST_DRAWN } from "./drawn_grid.js";

const BY_WEBP = 2;

/**
 * Alpha of every pixel, row by row.
 * @param {import("../container/chunks.js").Chunk} chunk
 * @param {import("../container/header.js").Header} header
 * @param {() => Promise<import("./drawn_grid.js").Webp>} webp asked for where it is needed
 */
export async function alphaPlane(chunk, header, webp) {
  if (chunk.data[0] !== BY_WEBP) return unpackAlpha(chunk, header);
  const { width, height } = header,
    file = chunk.data.slice(1);
  checkFile(file, width, height);
  if (width * height > MOST_DRAWN) throw new LimitExceeded(`alpha of more than ${MOST_DRAWN} pixels`);
  const decode = await webp(),
    image = await decode(file).catch(() => null);
  if (!image || image.width !== width || image.height !== height) {
    throw new CorruptData("chunk 'ALPH': the WebP file does not decode");
  }
  const plane = new Uint8Array(width * height);
  for (let i = 0; i < plane.length; i++) plane[i] = image.data[4 * i + 1];
  return plane;
}

/**
 * Check that a file is one lossless WebP picture of this size, and nothing more.
 * @param {Uint8Array} file @param {number} width @param {number} height
 */
function checkFile(file, width, height) {
  const padded = new Uint8Array(Math.ceil(file.length / 4) * 4);
  padded.set(file);
  checkDrawn(padded, "chunk 'ALPH'", 1, [width, height], true);
  const length = 8 + (file[4] | (file[5] << 8) | (file[6] << 16) | (file[7] << 24));
  if (file.length !== length || String.fromCharCode(...file.subarray(12, 16)) !== "VP8L") {
    throw new CorruptData("chunk 'ALPH': not one lossless WebP file");
  }
}
