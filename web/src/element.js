/**
 * <vqc-image src="photo.vqc" alt="...">: a picture in a page, like <img>.
 *
 * Attributes: src, alt, width, height, sizes, loading ("lazy" or "eager"), realism (0 to 1). Events: load, error (whose
 * `error` tells what was wrong), progress. Colours are converted from the file's profile to what the screen shows.
 */
import { VQCodecError, decode, metadataOf, probe, receive } from "./index.js";
import { toDisplay } from "./picture/colour.js";
import { encodePng } from "./picture/png.js";

const STYLE = `
  :host { display: inline-block; max-width: 100%; vertical-align: bottom; }
  :host([hidden]) { display: none; }
  canvas { display: block; width: 100%; height: auto; }
  :host([height]) canvas { height: 100%; object-fit: var(--vqc-object-fit, fill); }
  [hidden] { display: none; }
`;
const NEAR = "256px",
  LARGE = 1e6;

/** Pictures that the screen can show more colours of. @returns {"srgb" | "display-p3"} */
const spaceOf = (/** @type {Uint8Array | undefined} */ icc) =>
  icc && matchMedia("(color-gamut: p3)").matches ? "display-p3" : "srgb";

export class VqcImage extends HTMLElement {
  static observedAttributes = ["src", "alt", "width", "height", "sizes", "loading", "realism"];

  #canvas = document.createElement("canvas");
  #words = document.createElement("span");
  /** @type {AbortController | null} */
  #work = null;
  /** @type {IntersectionObserver | null} */
  #watch = null;
  /** @type {Promise<void>} */
  #shown = Promise.resolve();
  #scheduled = false;

  /** Whether nothing is left to do: there is no source, it is shown, or it failed. */
  complete = true;
  naturalWidth = 0;
  naturalHeight = 0;
  currentSrc = "";

  constructor() {
    super();
    const style = document.createElement("style"),
      root = this.attachShadow({ mode: "open" });
    style.textContent = STYLE;
    this.#canvas.part.add("picture");
    this.#canvas.width = this.#canvas.height = 0;
    this.#words.part.add("alt");
    this.#words.hidden = true;
    root.append(style, this.#canvas, this.#words);
    this.#tellAlt();
  }

  get src() {
    const src = this.getAttribute("src");
    return src ? new URL(src, document.baseURI).href : "";
  }

  set src(value) {
    this.setAttribute("src", value);
  }

  get alt() {
    return this.getAttribute("alt") ?? "";
  }

  set alt(value) {
    this.setAttribute("alt", value);
  }

  get realism() {
    return Number(this.getAttribute("realism")) || 0;
  }

  set realism(value) {
    this.setAttribute("realism", String(value));
  }

  /** Settles when the picture is shown, with an error if it cannot be. */
  async decode() {
    this.#start();
    await this.#shown;
  }

  connectedCallback() {
    this.#size();
    this.#schedule();
  }

  disconnectedCallback() {
    this.#stop();
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "alt") this.#tellAlt();
    else if (name === "src" || name === "realism" || name === "loading") this.#schedule();
    else this.#size();
  }

  #tellAlt() {
    const given = this.hasAttribute("alt"),
      canvas = this.#canvas;
    this.#words.textContent = this.alt;
    canvas.setAttribute("role", given && !this.alt ? "presentation" : "img");
    if (this.alt) canvas.setAttribute("aria-label", this.alt);
    else canvas.removeAttribute("aria-label");
  }

  #size() {
    for (const side of /** @type {const} */ (["width", "height"])) {
      const value = this.getAttribute(side);
      this.style[side] = value && /^\d+$/.test(value) ? `${value}px` : "";
    }
    const sizes = this.getAttribute("sizes");
    if (sizes && !this.hasAttribute("width")) this.style.width = widthOf(sizes);
  }

  #stop() {
    this.#work?.abort();
    this.#work = null;
    this.#watch?.disconnect();
    this.#watch = null;
  }

  /** Attributes that change together start one decode. */
  #schedule() {
    if (this.#scheduled || !this.isConnected) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.isConnected) return;
      this.#stop();
      this.complete = !this.src;
      if (!this.src) return;
      if (this.getAttribute("loading") !== "lazy") return this.#start();
      this.#watch = new IntersectionObserver(
        (entries) => {
          if (entries.some((entry) => entry.isIntersecting)) this.#start();
        },
        { rootMargin: NEAR },
      );
      this.#watch.observe(this);
    });
  }

  #start() {
    if (this.#work || !this.src) return;
    this.#watch?.disconnect();
    const work = (this.#work = new AbortController());
    this.#shown = this.#load(this.src, work.signal).then(
      () => this.#finish("load"),
      (error) => {
        if (work.signal.aborted) return;
        this.#canvas.hidden = true;
        this.#words.hidden = false;
        this.#finish("error", error);
        throw error;
      },
    );
    this.#shown.catch(() => {}); // told by the event
  }

  /** @param {string} type @param {Error} [error] */
  #finish(type, error) {
    this.complete = true;
    this.dispatchEvent(error ? new ErrorEvent(type, { error, message: error.message }) : new Event(type));
  }

  /** @param {string} src @param {AbortSignal} signal */
  async #load(src, signal) {
    this.complete = false;
    const response = await fetch(src, { signal });
    if (!response.ok || !response.body)
      throw new VQCodecError(`${src}: ${response.status} ${response.statusText}`);
    let parts = 0;
    const bytes = await receive(response.body, {
      onFront: (info) => this.#prepare(info.width, info.height),
      onLayer: (_, prefix) => {
        const { width, height, needsModel } = probe(prefix);
        if (!needsModel || width * height < LARGE) return;
        decode(prefix, { preview: "quick", partial: true, signal })
          .then((small) => (parts || signal.aborted ? undefined : this.#paintSmall(small)))
          .catch(() => {}); // the picture tells
      },
    });
    const { icc } = await metadataOf(bytes),
      space = spaceOf(icc);
    const context = this.#context(space);
    const image = await decode(bytes, {
      realism: this.realism,
      signal,
      onPart: ({ x, y, width, height, data }) => {
        parts++;
        if (signal.aborted) return;
        const part = new ImageData(data, width, height, { colorSpace: space });
        if (toDisplay(part, icc, space).converted) context.putImageData(part, x, y);
      },
      onProgress: (done, count) =>
        this.dispatchEvent(
          new ProgressEvent("progress", { lengthComputable: true, loaded: done, total: count }),
        ),
    });
    if (icc && !toDisplay(new ImageData(1, 1), icc, space).converted)
      await this.#paintConverted(context, image, icc);
    this.currentSrc = src;
  }

  /** @param {number} width @param {number} height */
  #prepare(width, height) {
    this.naturalWidth = width;
    this.naturalHeight = height;
    this.#canvas.hidden = false;
    this.#words.hidden = true;
    // A canvas that is as large keeps what it shows until the new picture comes.
    if (this.#canvas.width !== width || this.#canvas.height !== height) this.#renew(width, height);
    if (!this.hasAttribute("width") && !this.hasAttribute("height") && !this.hasAttribute("sizes")) {
      this.style.width = `${width}px`;
    }
  }

  /** @param {number} width @param {number} height */
  #renew(width, height) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    canvas.part.add("picture");
    this.#canvas.replaceWith(canvas);
    this.#canvas = canvas;
    this.#tellAlt();
  }

  /** @param {"srgb" | "display-p3"} space */
  #context(space) {
    let context = this.#canvas.getContext("2d", { colorSpace: space });
    if (context?.getContextAttributes().colorSpace !== space) {
      this.#renew(this.#canvas.width, this.#canvas.height);
      context = this.#canvas.getContext("2d", { colorSpace: space });
    }
    if (!context) throw new VQCodecError("the browser has no canvas for a picture of this size");
    return context;
  }

  /** @param {ImageData} small */
  async #paintSmall(small) {
    const bitmap = await createImageBitmap(small),
      context = this.#canvas.getContext("2d");
    if (!context || this.complete) return;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, 32 * small.width, 32 * small.height);
  }

  /**
   * A profile of look-up tables is left to the browser.
   * @param {CanvasRenderingContext2D} context
   * @param {ImageData} image
   * @param {Uint8Array} icc
   */
  async #paintConverted(context, image, icc) {
    const bitmap = await createImageBitmap(await encodePng(image, { icc }));
    context.clearRect(0, 0, image.width, image.height);
    context.drawImage(bitmap, 0, 0);
  }
}

/** The width that a list like that of <img sizes> gives. @param {string} sizes */
function widthOf(sizes) {
  for (const entry of sizes.split(",")) {
    const [, condition, width] = /^\s*(\(.*\))?\s*(\S+)\s*$/.exec(entry) ?? [];
    if (width && (!condition || matchMedia(condition).matches)) return width;
  }
  return "";
}

if (!customElements.get("vqc-image")) customElements.define("vqc-image", VqcImage);
