/** The attributes of <vqc-image> as properties. */

export const ATTRIBUTES = ["src", "alt", "width", "height", "sizes", "loading", "realism"];

export class ReflectingElement extends HTMLElement {
  naturalWidth = 0;
  naturalHeight = 0;

  get src() {
    const src = this.getAttribute("src");
    try {
      return src ? new URL(src, document.baseURI).href : "";
    } catch {
      return src ?? "";
    }
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

  get sizes() {
    return this.getAttribute("sizes") ?? "";
  }

  set sizes(value) {
    this.setAttribute("sizes", value);
  }

  /** @returns {"lazy" | "eager"} */
  get loading() {
    return this.getAttribute("loading")?.toLowerCase() === "lazy" ? "lazy" : "eager";
  }

  set loading(value) {
    this.setAttribute("loading", value);
  }

  /** As it is laid out; else the picture's own. */
  get width() {
    return this.getClientRects().length ? this.offsetWidth : this.naturalWidth;
  }

  set width(value) {
    this.setAttribute("width", String(value));
  }

  get height() {
    return this.getClientRects().length ? this.offsetHeight : this.naturalHeight;
  }

  set height(value) {
    this.setAttribute("height", String(value));
  }

  get realism() {
    return Number(this.getAttribute("realism")) || 0;
  }

  set realism(value) {
    this.setAttribute("realism", String(value));
  }

  /** Properties that were set before the element was defined hide those of its class: set them again. */
  takeProperties() {
    const own = /** @type {any} */ (this);
    for (const name of ATTRIBUTES.filter((known) => Object.hasOwn(own, known))) {
      const value = own[name];
      delete own[name];
      own[name] = value;
    }
  }
}
