/**
 * <vqc-image src="photo.vqc" alt="...">: a picture in a page, like <img>.
 *
 * Attributes: src, alt, width, height, sizes, loading ("lazy" or "eager"), realism (0 to 1). Events: load, error (whose
 * `error` tells what was wrong), progress. Colours are converted from the file's profile to what the screen shows.
 */
import { ATTRIBUTES, ReflectingElement } from "./element_attributes.js";
import { fixedRulesOf, sizeRules } from "./element_style.js";
import { VQCodecError, metadataOf, probe, receive } from "./index.js";
import { paint, paintQuick, spaceOf } from "./picture/paint.js";
import { Surface } from "./picture/surface.js";

const NEAR = "256px",
  LARGE = 1e6;

export class VqcImage extends ReflectingElement {
  static observedAttributes = ATTRIBUTES;

  #surface = new Surface((canvas) => this.#describe(canvas));
  #words = document.createElement("span");
  #sizing = new CSSStyleSheet();
  /** @type {AbortController | null} what is loaded, or was */
  #work = null;
  /** @type {IntersectionObserver | null} */
  #watch = null;
  /** @type {Promise<void>} */
  #shown = Promise.resolve();
  #scheduled = false;
  #done = false;

  currentSrc = "";

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [fixedRulesOf(window), this.#sizing];
    this.#words.part.add("alt");
    root.append(this.#surface.canvas, this.#words);
    this.#describe(this.#surface.canvas);
    this.#reveal(false); // without a source there are the words
  }

  /** Whether nothing is left to do: there is no source, it is shown, or it failed. */
  get complete() {
    return !this.getAttribute("src") || (this.#done && !this.#scheduled);
  }

  /** Settles when the picture is shown, with an error if it cannot be, or if another takes its place. */
  async decode() {
    this.#update();
    if (!this.getAttribute("src")) throw new DOMException("there is no source", "EncodingError");
    this.#start();
    await this.#shown;
  }

  connectedCallback() {
    this.takeProperties();
    this.#size();
    if (!this.#work) this.#schedule();
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return; // it was moved
      this.#watch?.disconnect();
      if (!this.#done) this.#stop();
    });
  }

  /** Moved to another document, which took its rules away. */
  adoptedCallback() {
    const { defaultView: view } = this.ownerDocument;
    if (!view) return;
    this.#sizing = new view.CSSStyleSheet();
    /** @type {ShadowRoot} */ (this.shadowRoot).adoptedStyleSheets = [fixedRulesOf(view), this.#sizing];
    this.#size();
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "alt") this.#describe(this.#surface.canvas);
    else if (name === "src" || name === "realism") this.#schedule();
    else if (name !== "loading") this.#size();
    else if (this.loading === "eager" && this.#watch && !this.#work) this.#start();
  }

  /** @param {HTMLCanvasElement} canvas */
  #describe(canvas) {
    this.#words.textContent = this.alt;
    canvas.part.add("picture");
    canvas.setAttribute("role", this.hasAttribute("alt") && !this.alt ? "presentation" : "img");
    if (this.alt) canvas.setAttribute("aria-label", this.alt);
    else canvas.removeAttribute("aria-label");
  }

  #size() {
    this.#sizing.replaceSync(sizeRules(this, this));
  }

  /** The picture, or the words for it. @param {boolean} picture */
  #reveal(picture) {
    this.#surface.canvas.hidden = !picture;
    this.#words.hidden = picture;
  }

  /** Nothing of a picture is known, or shown. */
  #forget() {
    this.naturalWidth = this.naturalHeight = 0;
    this.#surface.renew();
    this.#reveal(false);
    this.#size();
  }

  #stop() {
    this.#work?.abort();
    this.#work = null;
    this.#done = false;
    this.#watch?.disconnect();
    this.#watch = null;
  }

  /** Attributes that change together start one decode. */
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      if (!this.#update() || !this.isConnected) return;
      if (!this.getAttribute("src"))
        return this.hasAttribute("src") ? this.#fail(new VQCodecError("src is empty")) : undefined;
      if (this.loading === "eager") return this.#start();
      this.#watch = new IntersectionObserver(
        (entries) => {
          if (entries.some((entry) => entry.isIntersecting)) this.#start();
        },
        { rootMargin: NEAR },
      );
      this.#watch.observe(this);
    });
  }

  /** Give up what attributes asked for before. @returns {boolean} whether they changed */
  #update() {
    if (!this.#scheduled) return false;
    this.#scheduled = false;
    this.#stop();
    if (this.getAttribute("src")) {
      this.#reveal(true);
    } else {
      this.currentSrc = "";
      this.#forget();
    }
    return true;
  }

  #start() {
    if (this.#work) return;
    this.#watch?.disconnect();
    const { signal } = (this.#work = new AbortController());
    this.currentSrc = this.src;
    this.#shown = this.#load(this.currentSrc, signal).then(
      () => {
        if (signal.aborted) throw replaced();
        this.#done = true;
        this.dispatchEvent(new Event("load"));
      },
      (error) => {
        if (signal.aborted) throw replaced();
        this.#forget();
        this.#fail(error);
        throw error;
      },
    );
    this.#shown.catch(() => {}); // told by the event
  }

  /** @param {Error} error */
  #fail(error) {
    this.#done = true;
    this.dispatchEvent(new ErrorEvent("error", { error, message: error.message }));
  }

  /** @param {string} src @param {AbortSignal} signal */
  async #load(src, signal) {
    const response = await fetch(src, { signal });
    if (!response.ok || !response.body)
      throw new VQCodecError(`${src}: ${response.status} ${response.statusText}`);
    const surface = this.#surface;
    let parts = 0;
    const bytes = await receive(response.body, {
      onFront: (info) => this.#prepare(info.width, info.height),
      onLayer: (_, prefix) => {
        const { width, height, needsModel } = probe(prefix);
        if (!needsModel || width * height < LARGE) return;
        const context = () => (parts ? null : surface.canvas.getContext("2d"));
        paintQuick(prefix, signal, context).catch(() => {}); // the picture tells
      },
    });
    const { icc } = await metadataOf(bytes),
      space = spaceOf(icc);
    signal.throwIfAborted();
    const context = surface.context(space);
    await paint(bytes, {
      context: () => context,
      icc,
      space,
      realism: this.realism,
      signal,
      onPart: () => parts++,
      onProgress: (done, count) =>
        this.dispatchEvent(
          new ProgressEvent("progress", { lengthComputable: true, loaded: done, total: count }),
        ),
    });
  }

  /** @param {number} width @param {number} height */
  #prepare(width, height) {
    this.naturalWidth = width;
    this.naturalHeight = height;
    this.#surface.prepare(width, height);
    this.#reveal(true);
    this.#size();
  }
}

/** As <img> says it. */
const replaced = () => new DOMException("another source took its place, or it was removed", "EncodingError");

if (!customElements.get("vqc-image")) customElements.define("vqc-image", VqcImage);
