/** PNG files of decoded pictures, with their colour profile, EXIF and XMP. */
import { crc32 } from "../container/crc32.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10],
  RGB = 2,
  ALPHA = 4,
  UP = 2;

/** @param {string} type @param {Uint8Array} data */
function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length),
    view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(
    Array.from(type, (letter) => letter.charCodeAt(0)),
    4,
  );
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** @param {Uint8Array<ArrayBuffer>} data */
async function deflated(data) {
  return new Uint8Array(
    await new Response(new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer(),
  );
}

/** @param {string} letters */
const ascii = (letters) => Array.from(letters, (letter) => letter.charCodeAt(0));

/** Whether a profile is for gray, which only gray PNG files may have. @param {Uint8Array | undefined} icc */
const isForGray = (icc) => icc !== undefined && String.fromCharCode(...icc.subarray(16, 20)) === "GRAY";

/**
 * @param {ImageData} image
 * @param {{icc?: Uint8Array, exif?: Uint8Array, xmp?: Uint8Array}} [metadata]
 * @returns {Promise<Blob>}
 */
export async function encodePng({ width, height, data }, { icc, exif, xmp } = {}) {
  let opaque = true,
    gray = isForGray(icc);
  for (let i = 3; i < data.length && opaque; i += 4) opaque = data[i] === 255;
  for (let i = 0; i < data.length && gray; i += 4) gray = data[i] === data[i + 1] && data[i] === data[i + 2];
  const samples = [0, 1, 2, 3].filter((c) => (c === 3 ? !opaque : !gray || c === 0)),
    row = samples.length * width + 1,
    rows = new Uint8Array(row * height);
  for (let y = 0, from = 0; y < height; y++) {
    let to = y * row;
    rows[to++] = y ? UP : 0;
    for (let x = 0; x < width; x++, from += 4) {
      for (const c of samples) rows[to++] = data[from + c] - (y ? data[from + c - 4 * width] : 0);
    }
  }
  const head = new Uint8Array(13),
    view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, (gray ? 0 : RGB) + (opaque ? 0 : ALPHA)], 8);
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", head)];
  if (icc && gray === isForGray(icc))
    parts.push(
      chunk("iCCP", Uint8Array.from([...ascii("profile"), 0, 0, ...(await deflated(new Uint8Array(icc)))])),
    );
  if (exif) parts.push(chunk("eXIf", exif));
  if (xmp) parts.push(chunk("iTXt", Uint8Array.from([...ascii("XML:com.adobe.xmp"), 0, 0, 0, 0, 0, ...xmp])));
  parts.push(chunk("IDAT", await deflated(rows)), chunk("IEND", new Uint8Array()));
  return new Blob(parts, { type: "image/png" });
}
