/** The stage: one or two pictures, moved and zoomed together, with a divider between them. */

const MOST = 32,
  STEP = 1.25,
  MOVE = 60,
  MARGIN = 8,
  NEAR = 2;

/** @typedef {{canvas: HTMLCanvasElement, width: number, height: number}} Layer */

export class Viewer {
  /** @type {(Layer | null)[]} left, right */
  #layers = [null, null];
  #scale = 1;
  #x = 0;
  #y = 0;
  #fitted = true;
  #share = 0.5;
  /** @type {Map<number, {x: number, y: number}>} */
  #fingers = new Map();

  /** @param {HTMLElement} stage @param {HTMLElement} divider @param {(scale: number | null) => void} onZoom */
  constructor(stage, divider, onZoom) {
    this.stage = stage;
    this.divider = divider;
    this.onZoom = onZoom;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"])
      stage.addEventListener(type, (event) => this.#up(/** @type {PointerEvent} */ (event)));
    stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const { left, top } = stage.getBoundingClientRect();
        this.zoom(
          STEP ** Math.max(-2, Math.min(2, -event.deltaY / 100)),
          event.clientX - left,
          event.clientY - top,
        );
      },
      { passive: false },
    );
    stage.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => (this.#fitted ? this.fit() : this.#show())).observe(stage);
  }

  /**
   * The picture on a side, cleared to a size.
   * @param {0 | 1} side
   * @param {number} width
   * @param {number} height
   * @param {"srgb" | "display-p3"} [space]
   */
  prepare(side, width, height, space = "srgb") {
    const before = this.#layers[side],
      canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { colorSpace: space });
    if (before) before.canvas.replaceWith(canvas);
    else this.stage.prepend(canvas);
    const same = before?.width === width && before.height === height;
    this.#layers[side] = { canvas, width, height };
    // The right picture lies over the left one.
    if (this.#layers[1])
      this.stage.prepend(
        .../** @type {Layer[]} */ (this.#layers.filter((layer) => layer)).map((layer) => layer.canvas),
      );
    if (!same && side === 0) this.fit();
    this.#show();
    return context;
  }

  /** @param {0 | 1} side */
  remove(side) {
    this.#layers[side]?.canvas.remove();
    this.#layers[side] = null;
    this.#show();
  }

  /** @param {0 | 1} side */
  canvas(side) {
    return this.#layers[side]?.canvas ?? null;
  }

  fit() {
    const layer = this.#layers[0];
    if (!layer) return;
    const { clientWidth: wide, clientHeight: tall } = this.stage;
    this.#scale = Math.min((wide - 2 * MARGIN) / layer.width, (tall - 2 * MARGIN) / layer.height, MOST);
    this.#x = (wide - layer.width * this.#scale) / 2;
    this.#y = (tall - layer.height * this.#scale) / 2;
    this.#fitted = true;
    this.#show();
  }

  /** Every pixel of the picture one of the screen. */
  real() {
    this.zoom(1 / (this.#scale * devicePixelRatio));
  }

  /** @param {number} factor @param {number} [x] what stays in place @param {number} [y] */
  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const scale = Math.min(Math.max(this.#scale * factor, 0.02), MOST),
      real = scale / this.#scale;
    this.#x = x - (x - this.#x) * real;
    this.#y = y - (y - this.#y) * real;
    this.#scale = scale;
    this.#fitted = false;
    this.#show();
  }

  /** @param {number} share of the stage that is left of it */
  divide(share) {
    this.#share = Math.min(Math.max(share, 0), 1);
    this.#show();
  }

  #show() {
    const [left, right] = this.#layers,
      at = this.#share * this.stage.clientWidth;
    // On whole pixels of the screen: at 1:1 nothing is blurred.
    const [x, y] = [this.#x, this.#y].map((value) => Math.round(value * devicePixelRatio) / devicePixelRatio);
    this.divider.hidden = !right;
    this.divider.style.left = `${at}px`;
    this.divider.setAttribute("aria-valuenow", String(Math.round(100 * this.#share)));
    this.#layers.forEach((layer, side) => {
      if (!layer || !left) return;
      // The second picture takes the size of the first.
      const [a, b] = [(this.#scale * left.width) / layer.width, (this.#scale * left.height) / layer.height];
      layer.canvas.style.transform = `translate(${x}px, ${y}px) scale(${a}, ${b})`;
      layer.canvas.classList.toggle("near", this.#scale * devicePixelRatio >= NEAR);
      const cut = (at - x) / a; // each is seen on its own side alone, as either may be transparent
      if (side) layer.canvas.style.clipPath = `inset(0 0 0 ${Math.max(0, cut)}px)`;
      else layer.canvas.style.clipPath = right ? `inset(0 ${Math.max(0, layer.width - cut)}px 0 0)` : "";
    });
    this.onZoom(left ? this.#scale * devicePixelRatio : null);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.target instanceof HTMLButtonElement) return;
    const onDivider = event.target === this.divider;
    (onDivider ? this.divider : this.stage).setPointerCapture(event.pointerId);
    if (onDivider) this.divider.dataset.held = "";
    else this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.stage.classList.toggle("moving", !onDivider);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const box = this.stage.getBoundingClientRect();
    if (event.target === this.divider && "held" in this.divider.dataset) {
      this.divide((event.clientX - box.left) / box.width);
      return;
    }
    const finger = this.#fingers.get(event.pointerId);
    if (!finger) return;
    const others = [...this.#fingers].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
    const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
    if (others.length) {
      const before = Math.hypot(finger.x - others[0].x, finger.y - others[0].y);
      const after = Math.hypot(event.clientX - others[0].x, event.clientY - others[0].y);
      if (before > 0)
        this.zoom(
          after / before,
          (event.clientX + others[0].x) / 2 - box.left,
          (event.clientY + others[0].y) / 2 - box.top,
        );
    }
    this.#x += dx / (1 + others.length);
    this.#y += dy / (1 + others.length);
    this.#fitted = false;
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.#show();
  }

  /** @param {PointerEvent} event */
  #up(event) {
    this.#fingers.delete(event.pointerId);
    delete this.divider.dataset.held;
    this.stage.classList.toggle("moving", this.#fingers.size > 0);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onDivider = event.target === this.divider,
      move = (/** @type {number} */ x, /** @type {number} */ y) => {
        this.#x += x;
        this.#y += y;
        this.#fitted = false;
        this.#show();
      };
    const divide = (/** @type {number} */ by) => this.divide(this.#share + by);
    /** @type {Record<string, () => void>} */
    const actions = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      0: () => this.fit(),
      1: () => this.real(),
      "[": () => divide(-0.02),
      "]": () => divide(0.02),
      ArrowLeft: () => (onDivider ? divide(-0.02) : move(MOVE, 0)),
      ArrowRight: () => (onDivider ? divide(0.02) : move(-MOVE, 0)),
      ArrowUp: () => (onDivider ? divide(0.02) : move(0, MOVE)),
      ArrowDown: () => (onDivider ? divide(-0.02) : move(0, -MOVE)),
    };
    if (onDivider) Object.assign(actions, { Home: () => this.divide(0), End: () => this.divide(1) });
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}
