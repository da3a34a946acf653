/** The alpha plane: deflated, or the green samples of lossless WebP (FORMAT.md, "Chunks"). */
import { LOSSLESS, checkDrawn, withFrame } from "../container/drawn.js";
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
    data = chunk.data.subarray(1);
  checkDrawn(data, "chunk 'ALPH'", 1, [width, height], true);
  if (data[0] !== LOSSLESS) throw new CorruptData("chunk 'ALPH': not lossless");
  if (width * height > MOST_DRAWN) throw new LimitExceeded(`alpha of more than ${MOST_DRAWN} pixels`);
  const decode = await webp(),
    image = await decode(withFrame(data)).catch(() => null);
  if (!image || image.width !== width || image.height !== height) {
    throw new CorruptData("chunk 'ALPH': the image data does not decode");
  }
  const plane = new Uint8Array(width * height);
  for (let i = 0; i < plane.length; i++) plane[i] = image.data[4 * i + 1];
  return plane;
}
