/** Decoding onto the stage. */
import { metadataOf, probe } from "./src/index.js";
import { paint, paintQuick, spaceOf } from "./src/picture/paint.js";
import { progress, realism, say, viewer } from "./page.js";

const QUICK_FROM = 1e6;

/**
 * Decode onto a side of the stage.
 * @param {0 | 1} side
 * @param {Uint8Array} bytes
 * @param {AbortSignal} signal
 * @param {boolean} [fresh] nothing of it is shown yet
 */
export async function show(side, bytes, signal, fresh = true) {
  const info = probe(bytes),
    { icc } = await metadataOf(bytes),
    space = spaceOf(icc),
    start = performance.now();
  const value = side === 0 && info.needsModel ? Number(realism.value) : 0;
  /** @type {CanvasRenderingContext2D | null} */
  let context = null;
  const canvas = () =>
    (context ??= fresh ? viewer.prepare(side, info.width, info.height, space) : contextOf(side, info, space));
  progress.hidden = false;
  progress.removeAttribute("value");
  say("Decoding\u2026");
  try {
    if (fresh && info.needsModel && info.width * info.height >= QUICK_FROM)
      await showQuick(canvas(), bytes, signal);
    const onProgress = (/** @type {number} */ done, /** @type {number} */ count) =>
      (progress.value = done / count);
    const image = await paint(bytes, { context: canvas, icc, space, signal, realism: value, onProgress });
    signal.throwIfAborted();
    if (info.alpha) viewer.canvas(side)?.classList.add("clear");
    say(
      `Decoded in ${((performance.now() - start) / 1000).toFixed(2)} s${value ? ` with realism ${value}` : ""}.`,
    );
    return image;
  } finally {
    if (!signal.aborted) progress.hidden = true;
  }
}

/**
 * The canvas that shows a picture of this size already.
 * @param {0 | 1} side
 * @param {import("./src/index.js").Info} info
 * @param {"srgb" | "display-p3"} space
 */
function contextOf(side, info, space) {
  const canvas = viewer.canvas(side);
  if (canvas && canvas.width === info.width && canvas.height === info.height) return canvas.getContext("2d");
  return viewer.prepare(side, info.width, info.height, space);
}

/** @param {CanvasRenderingContext2D | null} context @param {Uint8Array} bytes @param {AbortSignal} signal */
export async function showQuick(context, bytes, signal) {
  if (!(await paintQuick(bytes, signal, () => context))) return;
  performance.mark("quick preview");
  say("A first look; decoding all of it\u2026");
}
