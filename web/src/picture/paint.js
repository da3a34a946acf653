/** Pictures onto canvases, as the element and the page show them. */
import { decode, toDisplay } from "../index.js";
import { encodePng } from "./png.js";

/** @typedef {() => CanvasRenderingContext2D | null} Context asked for when there is something to paint; null: it is not wanted */
/** @typedef {"srgb" | "display-p3"} Space */

/** @type {boolean | undefined} */
let canvasesHaveP3;

/** Colour space of a canvas for a picture: P3 for a profile, where screen and canvases have it. @param {Uint8Array | undefined} icc */
export function spaceOf(icc) {
  if (!icc || !matchMedia("(color-gamut: p3)").matches) return "srgb";
  // A browser without it gives an sRGB canvas instead, and says so only then.
  canvasesHaveP3 ??=
    document.createElement("canvas").getContext("2d", { colorSpace: "display-p3" })?.getContextAttributes()
      .colorSpace === "display-p3";
  return canvasesHaveP3 ? "display-p3" : "srgb";
}

/**
 * A first look, one pixel for 32x32.
 * @param {Uint8Array} bytes may end after the coarse layer
 * @param {AbortSignal} signal
 * @param {Context} context
 * @returns {Promise<boolean>} whether it was painted
 */
export async function paintQuick(bytes, signal, context) {
  const small = await decode(bytes, { preview: "quick", partial: true, signal }),
    bitmap = await createImageBitmap(small),
    to = signal.aborted ? null : context();
  if (!to) return false;
  to.imageSmoothingQuality = "high";
  to.drawImage(bitmap, 0, 0, 32 * small.width, 32 * small.height);
  return true;
}

/**
 * All of a picture, part by part, in the colours of the screen.
 * @param {Uint8Array} bytes
 * @param {object} how
 * @param {Context} how.context
 * @param {Uint8Array} [how.icc] the file's profile
 * @param {Space} how.space of the context
 * @param {AbortSignal} how.signal
 * @param {number} [how.realism]
 * @param {(done: number, count: number) => void} [how.onProgress]
 * @param {() => void} [how.onPart] called before each part is painted
 * @returns {Promise<ImageData>} samples in the file's colour space
 */
export async function paint(bytes, { context, icc, space, signal, onPart, ...options }) {
  const image = await decode(bytes, {
    ...options,
    signal,
    onPart: ({ x, y, width, height, data }) => {
      if (signal.aborted) return;
      onPart?.();
      const part = new ImageData(data, width, height, { colorSpace: space });
      if (toDisplay(part, icc, space).converted) context()?.putImageData(part, x, y);
    },
  });
  if (icc && !toDisplay(new ImageData(1, 1), icc, space).converted) {
    // A profile of look-up tables is left to the browser.
    const to = context(),
      bitmap = await createImageBitmap(await encodePng(image, { icc }));
    if (signal.aborted) return image;
    to?.clearRect(0, 0, image.width, image.height);
    to?.drawImage(bitmap, 0, 0);
  }
  return image;
}
