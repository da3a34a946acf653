/**
 * A first look at a picture: its colours at 1/32, from the coarse layer's first positions and the linear half of
 * synthesis alone. Nothing of it is exact.
 */
import { betweenKnots } from "../engine/levels.js";
import { need } from "../model/model.js";
import { height, tiles, width } from "../engine/tiling.js";

const STEP = 2,
  COLOURS = 3,
  LATENT_UNITS = 128;
const OPPONENT = [
  [1, 1, 1],
  [1, 0, -1],
  [1, -2, 1],
].map((row) => {
  const length = Math.hypot(...row);
  return row.map((value) => value / length);
});

/** @typedef {import("../engine/tiling.js").Place} Place */

/**
 * Red, green and blue of the mean of a block, by channel of the latent.
 * @param {import("../model/model.js").Arrays} arrays
 * @param {number} level
 */
function meansOf(arrays, level) {
  const {
    shape: [outputs, , , channels],
    data,
  } = need(arrays, "g_s.linear.weight");
  const scale = need(arrays, "g_s.linear.scale").data,
    gain = betweenKnots(need(arrays, "log_gain"), level);
  const step = need(arrays, "g_s.latent.step").data,
    blocks = outputs / COLOURS,
    rgb = [0, 1, 2].map(() => new Float64Array(channels));
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < channels; c++) {
      const value =
        (data[o * channels + c] * scale[o]) / (blocks * LATENT_UNITS * Math.exp(gain[c]) * step[c]);
      for (let n = 0; n < COLOURS; n++) rgb[n][c] += value * OPPONENT[o % COLOURS][n];
    }
  }
  return rgb;
}

/**
 * @param {import("../engine/latent_coder.js").LatentCoder} coder
 * @param {import("../model/model.js").Arrays} arrays g_s.* and log_gain
 * @param {import("../container/container.js").Container} container
 * @param {() => Promise<void>} pause
 * @returns {Promise<{width: number, height: number, data: Uint8ClampedArray<ArrayBuffer>}>} one pixel for 32x32
 */
export async function quickLook(coder, arrays, { header, segments, drawnWhole }, pause) {
  const rows = Math.ceil(header.height / 16),
    columns = Math.ceil(header.width / 16);
  const tall = Math.ceil(rows / STEP),
    wide = Math.ceil(columns / STEP),
    means = meansOf(arrays, header.level);
  const data = new Uint8ClampedArray(4 * tall * wide).fill(128);
  const places = tiles(rows, columns, header.tile / 16);
  for (let n = 0; n < places.length; n++) {
    const tile = places[n],
      layers = segments[n];
    if (drawnWhole[n] || !layers[0]) continue;
    const latent = coder.decode([layers[0], null], height(tile), width(tile), header.level, 0);
    for (let y = 0; y < height(tile); y += STEP) {
      for (let x = 0; x < width(tile); x += STEP) {
        const first = (y * width(tile) + x) * coder.channels;
        const at = 4 * (((tile.top + y) / STEP) * wide + (tile.left + x) / STEP);
        for (let k = 0; k < COLOURS; k++) {
          let sum = 0.5;
          for (let c = 0; c < coder.channels; c++) sum += latent[first + c] * means[k][c];
          data[at + k] = 255 * sum;
        }
      }
    }
    await pause();
  }
  for (let i = 0; i < tall * wide; i++) {
    if (header.gray) data.fill((data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3, 4 * i, 4 * i + 3);
    data[4 * i + 3] = 255;
  }
  return { width: wide, height: tall, data };
}
