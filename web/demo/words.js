/** What the page says of files, in words and figures. */

const KB = 1000;

/** @param {number} n */
export const spaced = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

/** A file's name and size, at the foot of the stage. @param {string} name @param {number} bytes */
export const labelOf = (name, bytes) =>
  `${name}, ${bytes < 10 * KB ? `${spaced(bytes)} B` : `${spaced(Math.round(bytes / KB))} kB`}`;

/** On one line. @param {{width: number, height: number}} picture */
export const sizeOf = ({ width, height }) => `${width}\u00a0\u00d7\u00a0${height}`;

/** Names and values. @param {import("./src/index.js").Info} info */
export function rowsOf(info) {
  const metadata = Object.entries(info.metadata).map(([type, bytes]) => `${type} ${spaced(bytes)} B`);
  return [
    ["Size", `${sizeOf(info)}${info.gray ? ", gray" : ""}${info.alpha ? ", with alpha" : ""}`],
    ["File", `${spaced(info.fileBytes)} bytes`],
    ["Rate", `${info.bpp.toFixed(3)} bits a pixel`],
    [
      "Quality",
      `${info.quality.toFixed(1)} (level ${info.level}), for ${info.tune === "eyes" ? "eyes" : "squared error"}`,
    ],
    ["Tiles", info.tiles > 1 ? `${info.tiles} of ${info.tile} pixels` : "1"],
    ["Preview", `first ${spaced(info.previewBytes)} bytes`],
    ["Drawn", info.drawnBytes ? `${spaced(info.drawnBytes)} bytes, exact` : ""],
    ["Colours", info.profile ?? (info.metadata.iCCP ? "profile in the file" : "sRGB")],
    ["Model", info.needsModel ? `${info.model ? `${info.model}, ` : ""}${info.bitstreamId}` : "none needed"],
    ["Chunks", metadata.join(", ")],
    ["Format", info.version],
  ].filter(([, value]) => value);
}
