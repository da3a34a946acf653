/** Decoding onto the stage. */
import { decode, metadataOf, probe, toDisplay } from "./src/index.js";
import { paintConverted } from "./src/picture/surface.js";
import { progress, realism, say, viewer } from "./page.js";

const QUICK_ABOVE = 1e6;

/** @param {Uint8Array | undefined} icc @returns {"srgb" | "display-p3"} */
export const spaceOf = (icc) => (icc && matchMedia("(color-gamut: p3)").matches ? "display-p3" : "srgb");

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
    if (fresh && info.needsModel && info.width * info.height > QUICK_ABOVE)
      await showQuick(canvas(), bytes, signal);
    const image = await decode(bytes, {
      signal,
      realism: value,
      onProgress: (done, count) => (progress.value = done / count),
      onPart: ({ x, y, width, height, data }) => {
        const part = new ImageData(data, width, height, { colorSpace: space });
        if (toDisplay(part, icc, space).converted) canvas()?.putImageData(part, x, y);
      },
    });
    const whole = canvas();
    if (icc && whole && !toDisplay(new ImageData(1, 1), icc, space).converted)
      await paintConverted(whole, image, icc, () => !signal.aborted);
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
  const small = await decode(bytes, { preview: "quick", partial: true, signal }),
    bitmap = await createImageBitmap(small);
  if (!context || signal.aborted) return;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, 32 * small.width, 32 * small.height);
  performance.mark("quick preview");
  say("A first look; decoding all of it\u2026");
}
