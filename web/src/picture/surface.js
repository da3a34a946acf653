/** A canvas that a picture is painted on, made anew where its size or colour space is another. */
import { VQCodecError } from "../errors.js";

export class Surface {
  canvas = document.createElement("canvas");

  /** @param {(canvas: HTMLCanvasElement) => void} renewed called with each canvas that takes the place of another */
  constructor(renewed) {
    this.renewed = renewed;
    this.canvas.width = this.canvas.height = 0;
  }

  /**
   * A canvas that is as large keeps what it shows until the new picture comes.
   * @param {number} width @param {number} height
   */
  prepare(width, height) {
    if (this.canvas.width !== width || this.canvas.height !== height) this.renew(width, height);
  }

  /** @param {number} [width] @param {number} [height] */
  renew(width = 0, height = 0) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    this.canvas.replaceWith(canvas);
    this.canvas = canvas;
    this.renewed(canvas);
  }

  /** @param {"srgb" | "display-p3"} space */
  context(space) {
    let context = this.canvas.getContext("2d", { colorSpace: space });
    if (context?.getContextAttributes().colorSpace !== space) {
      this.renew(this.canvas.width, this.canvas.height);
      context = this.canvas.getContext("2d", { colorSpace: space });
    }
    if (!context) throw new VQCodecError("the browser has no canvas for a picture of this size");
    return context;
  }
}
