/** The WebAssembly module: its memory, and what its functions answer. */
import { CorruptData, LimitExceeded, ModelNotFound } from "../errors.js";

/** @typedef {Uint8Array | Int8Array | Int16Array | Int32Array | Uint32Array | Float32Array} Numbers */

const SHORT = 1,
  DAMAGED = 2,
  BOUNDS = 3;

export class Engine {
  /** @param {WebAssembly.Instance} instance */
  constructor(instance) {
    /** @type {any} */
    this.c = instance.exports;
    this.c._initialize?.();
  }

  /** @param {BufferSource | WebAssembly.Module} code bytes of one of the modules, or what was compiled of them */
  static async start(code) {
    const module = code instanceof WebAssembly.Module ? code : await WebAssembly.compile(code);
    return new Engine(new WebAssembly.Instance(module, {}));
  }

  /** Bytes that the module's memory has come to. */
  get memoryBytes() {
    return this.c.memory.buffer.byteLength;
  }

  /** @param {number} bytes @returns {number} an address, to be given to `free` */
  allocate(bytes) {
    const address = this.c.allocate(bytes);
    if (!address) throw new LimitExceeded("the picture needs more memory than the decoder may have");
    return address;
  }

  /** @param {number} address */
  free(address) {
    this.c.release(address);
  }

  // Views are good until the next allocation, which may move the memory.

  /** @param {number} at @param {number} n */
  u8 = (at, n) => new Uint8Array(this.c.memory.buffer, at, n);
  /** @param {number} at @param {number} n */
  i8 = (at, n) => new Int8Array(this.c.memory.buffer, at, n);
  /** @param {number} at @param {number} n */
  i16 = (at, n) => new Int16Array(this.c.memory.buffer, at, n);
  /** @param {number} at @param {number} n */
  i32 = (at, n) => new Int32Array(this.c.memory.buffer, at, n);
  /** @param {number} at @param {number} n */
  f32 = (at, n) => new Float32Array(this.c.memory.buffer, at, n);

  /** Copy numbers into new memory. @param {Numbers} array */
  put(array) {
    const address = this.allocate(array.byteLength);
    this.u8(address, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return address;
  }

  /** Throw what a function's answer means. @param {number} status @param {string} [what] */
  check(status, what = "") {
    if (status === SHORT) throw new LimitExceeded("the picture needs more memory than the decoder may have");
    if (status === DAMAGED) throw new CorruptData(what || "segment does not decode");
    if (status === BOUNDS)
      throw new ModelNotFound(`${what}: the weights break the bounds of exact arithmetic`);
  }

  /**
   * Call a function that makes something at an address.
   * @param {(at: number) => number} make
   * @param {string} what
   */
  made(make, what) {
    const at = this.allocate(4);
    try {
      this.check(make(at), what);
      return this.i32(at, 1)[0];
    } finally {
      this.free(at);
    }
  }

  /**
   * Memory that is given back together.
   * @template T
   * @param {(scope: Scope) => T} work
   * @returns {T}
   */
  scope(work) {
    const scope = new Scope(this);
    try {
      return work(scope);
    } finally {
      scope.end();
    }
  }
}

export class Scope {
  /** @type {Set<number>} */
  #held = new Set();
  /** @type {(() => void)[]} */
  #ends = [];

  /** @param {Engine} engine */
  constructor(engine) {
    this.engine = engine;
  }

  /** @param {number} bytes */
  allocate(bytes) {
    const address = this.engine.allocate(bytes);
    this.#held.add(address);
    return address;
  }

  /** @param {Numbers} array */
  put(array) {
    const address = this.engine.put(array);
    this.#held.add(address);
    return address;
  }

  /** Give back one of them now. @param {number} address */
  free(address) {
    if (this.#held.delete(address)) this.engine.free(address);
  }

  /** Do something at the end. @param {() => void} action */
  atEnd(action) {
    this.#ends.push(action);
  }

  end() {
    for (const action of this.#ends) action();
    for (const address of this.#held) this.engine.free(address);
    this.#held.clear();
    this.#ends = [];
  }
}
