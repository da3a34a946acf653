/** Colour profiles of the kinds that pictures have (matrix and curves) to what canvases show. */

/** @typedef {"srgb" | "display-p3"} Space */

/**
 * Columns X, Y, Z of red, green, blue, adapted to D50, of what a canvas can be.
 * @type {Record<Space, number[][]>}
 */
const SPACES = {
  srgb: [
    [0.43606567, 0.2224884, 0.01391602],
    [0.38514709, 0.71687317, 0.09707642],
    [0.14306641, 0.06060791, 0.71409607],
  ],
  "display-p3": [
    [0.51512146, 0.24119568, -0.00105286],
    [0.29197693, 0.69224548, 0.04188538],
    [0.15710449, 0.0665741, 0.78407288],
  ],
};
const CURVE = 1 / 65536;

/**
 * Convert samples from a profile's colour space; without a profile, or with one like the target's, nothing changes.
 * @param {ImageData} image its samples are changed in place
 * @param {Uint8Array | undefined} icc
 * @param {Space} [space]
 * @returns {{image: ImageData, converted: boolean}} the samples as an image of that space; converted: false if the profile is of another kind (look-up tables,
 *   CMYK), and the samples are as they were
 */
export function toDisplay(image, icc, space = "srgb") {
  if (!icc && space === "srgb") return { image, converted: true };
  const profile = icc ? readProfile(icc) : readNothing();
  if (!profile) return { image, converted: false };
  const matrix = product(inverted(SPACES[space]), profile.columns),
    tables = profile.curves.map(lightOf),
    out = samples();
  if (isIdentity(matrix) && profile.curves.every((curve) => looksLikeSrgb(lightOf(curve))))
    return { image: labelled(image, space), converted: true };
  const { data } = image,
    [red, green, blue] = tables,
    [a, b, c] = matrix,
    top = out.length - 1;
  const sample = (/** @type {number} */ light) => out[Math.round(Math.min(Math.max(light, 0), 1) * top)];
  for (let i = 0; i < data.length; i += 4) {
    const r = red[data[i]],
      g = green[data[i + 1]],
      l = blue[data[i + 2]];
    data[i] = sample(a[0] * r + a[1] * g + a[2] * l);
    data[i + 1] = sample(b[0] * r + b[1] * g + b[2] * l);
    data[i + 2] = sample(c[0] * r + c[1] * g + c[2] * l);
  }
  return { image: labelled(image, space), converted: true };
}

/** The same samples, said to be of a space, which canvases convert from. @param {ImageData} image @param {Space} space */
function labelled(image, space) {
  if (image.colorSpace === space) return image;
  const { data, width, height } = image;
  if (typeof ImageData === "undefined")
    return /** @type {any} */ ({ data, width, height, colorSpace: space });
  return new ImageData(data, width, height, { colorSpace: space });
}

/** @typedef {(x: number) => number} Curve from samples to light, both 0 to 1 */
/** @typedef {{columns: number[][], curves: Curve[]}} Profile */

/** @returns {Profile} */
function readNothing() {
  return { columns: SPACES.srgb, curves: [srgbCurve, srgbCurve, srgbCurve] };
}

/** @param {Uint8Array} icc @returns {Profile | null} of matrix and curves, or of gray; null for others */
export function readProfile(icc) {
  try {
    const view = new DataView(icc.buffer, icc.byteOffset, icc.byteLength),
      text = textAt(icc);
    /** @type {Map<string, number>} */
    const tags = new Map();
    for (let n = 0, count = Math.min(view.getUint32(128), 100); n < count; n++) {
      tags.set(text(132 + 12 * n), view.getUint32(136 + 12 * n));
    }
    const curve = (/** @type {string} */ tag) => readCurve(view, text, /** @type {number} */ (tags.get(tag)));
    if (text(16) === "GRAY" && tags.has("kTRC")) {
      const own = curve("kTRC");
      return { columns: SPACES.srgb, curves: [own, own, own] };
    }
    if (text(16) !== "RGB " || tags.has("A2B0") || !tags.has("rXYZ")) return null;
    const columns = ["rXYZ", "gXYZ", "bXYZ"].map((tag) =>
      [8, 12, 16].map((at) => view.getInt32(/** @type {number} */ (tags.get(tag)) + at) * CURVE),
    );
    return { columns, curves: ["rTRC", "gTRC", "bTRC"].map(curve) };
  } catch {
    return null; // damaged: shown as it is
  }
}

/** @param {Uint8Array} bytes @returns {(at: number) => string} */
const textAt = (bytes) => (at) => String.fromCharCode(...bytes.subarray(at, at + 4));

/** @param {DataView} view @param {(at: number) => string} text @param {number} at @returns {Curve} */
function readCurve(view, text, at) {
  if (text(at) === "curv") {
    const count = view.getUint32(at + 8);
    if (count === 0) return (x) => x;
    if (count === 1) return (x) => x ** (view.getUint16(at + 12) / 256);
    const table = Array.from(
      { length: Math.min(count, 65536) },
      (_, i) => view.getUint16(at + 12 + 2 * i) / 65535,
    );
    return (x) => {
      const place = x * (table.length - 1),
        low = Math.floor(place),
        high = Math.min(low + 1, table.length - 1);
      return table[low] + (table[high] - table[low]) * (place - low);
    };
  }
  if (text(at) !== "para") throw new Error("another kind of curve");
  const kind = view.getUint16(at + 8),
    p = (/** @type {number} */ n) => view.getInt32(at + 12 + 4 * n) * CURVE;
  const [g, a, b] = [p(0), kind ? p(1) : 1, kind ? p(2) : 0];
  if (kind === 0) return (x) => x ** g;
  if (kind < 3) {
    const c = kind === 2 ? p(3) : 0;
    return (x) => (x >= -b / a ? (a * x + b) ** g + c : c);
  }
  const [c, d, e, f] = [p(3), p(4), kind === 4 ? p(5) : 0, kind === 4 ? p(6) : 0];
  return (x) => (x >= d ? (a * x + b) ** g + e : c * x + f);
}

/** @type {Curve} */
const srgbCurve = (x) => (x > 0.04045 ? ((x + 0.055) / 1.055) ** 2.4 : x / 12.92);

/** Light of each sample. @param {Curve} curve */
const lightOf = (curve) => Float64Array.from({ length: 256 }, (_, i) => curve(i / 255));

/** Samples of light in small steps, by sRGB's curve, which both spaces have. */
function samples() {
  return Float32Array.from({ length: 16384 }, (_, i) => {
    const light = i / 16383;
    return 255 * (light > 0.0031308 ? 1.055 * light ** (1 / 2.4) - 0.055 : 12.92 * light);
  });
}

/** @param {Float64Array} light */
const looksLikeSrgb = (light) => light.every((value, i) => Math.abs(value - srgbCurve(i / 255)) < 4e-4);

/** @param {number[][]} matrix */
const isIdentity = (matrix) =>
  matrix.every((row, i) => row.every((value, j) => Math.abs(value - Number(i === j)) < 2e-3));

/** The inverse of a matrix given by its columns, as rows. @param {number[][]} columns */
function inverted(columns) {
  const [[a, d, g], [b, e, h], [c, f, i]] = columns;
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / det));
}

/** Rows times columns. @param {number[][]} rows @param {number[][]} columns */
const product = (rows, columns) =>
  rows.map((row) => columns.map((column) => row.reduce((sum, value, k) => sum + value * column[k], 0)));
