/** The threads that decode: workers in a browser, this thread in Node. */
import { unpackError } from "../errors.js";
import { PictureDecoder } from "./decoder.js";
import { surroundings } from "./surroundings.js";

/** Two, since each may take 256 MiB; small pictures are decoded by one. */
export const MOST_THREADS = 2;
const PIXELS_EACH = 1.5e6;
/** The module's memory never shrinks: threads with more of it end where nothing was decoded for so many milliseconds. */
const MEMORY_KEPT = 64 * 2 ** 20,
  REST = 10000;

/**
 * @typedef {object} Listener
 * @property {(part: import("./decoder.js").Part) => void} part
 * @property {(done: number, count: number) => void} progress
 */

/**
 * @typedef {object} Thread
 * @property {(job: import("./decoder.js").Job, listener: Listener, signal?: AbortSignal) => Promise<void>} run
 * @property {number} memoryBytes that it has come to
 * @property {number} waiting jobs that are not done
 * @property {(error: Error) => void} end
 */

export class Pool {
  /** @type {Thread[]} */
  #threads = [];
  #running = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #rest;

  /** @param {import("./surroundings.js").Settings} settings */
  constructor(settings) {
    this.settings = settings;
  }

  /**
   * Do a job, shared by as many threads as its pixels are worth, and as have parts of it.
   * @param {import("./decoder.js").Job} job
   * @param {{pixels: number, parts: number}} size
   * @param {Listener} listener
   * @param {AbortSignal} [signal]
   */
  async run(job, size, listener, signal) {
    clearTimeout(this.#rest);
    this.#running++;
    try {
      await this.#shared(job, size, listener, signal);
    } finally {
      if (--this.#running === 0) {
        this.#rest = setTimeout(() => this.#end(({ memoryBytes }) => memoryBytes > MEMORY_KEPT), REST);
        /** @type {any} */ (this.#rest).unref?.(); // a program in Node does not wait for it
      }
    }
  }

  /**
   * @param {import("./decoder.js").Job} job
   * @param {{pixels: number, parts: number}} size
   * @param {Listener} listener
   * @param {AbortSignal} [signal]
   */
  async #shared(job, { pixels, parts }, listener, signal) {
    const worth = job.preview === "quick" ? 1 : Math.round(pixels / PIXELS_EACH),
      count = Math.max(1, Math.min(this.#most(), worth, parts));
    const threads = this.#taken(count),
      states = threads.map(() => [0, 0]),
      told = states.map(() => false),
      other = new AbortController();
    const report = () => {
      if (told.every(Boolean)) listener.progress(sum(states, 0), sum(states, 1));
    };
    const both = signal ? AbortSignal.any([signal, other.signal]) : other.signal;
    try {
      await Promise.all(
        states.map(async (state, n) => {
          const progress = (/** @type {number} */ done, /** @type {number} */ own) => {
            [state[0], state[1], told[n]] = [done, own, true];
            report();
          };
          await threads[n].run({ ...job, share: [n, count] }, { part: listener.part, progress }, both);
        }),
      );
    } catch (error) {
      other.abort();
      throw error;
    }
  }

  /**
   * The threads for a job of so many; one alone is for the least busy, anew where all are busy and there may be more.
   * @param {number} count
   */
  #taken(count) {
    const busy = this.#threads.every(({ waiting }) => waiting),
      wanted = count === 1 && busy ? Math.min(this.#threads.length + 1, this.#most()) : count;
    while (this.#threads.length < wanted) this.#threads.push(this.#makeThread());
    if (count > 1) return this.#threads.slice(0, count);
    return [this.#threads.reduce((least, thread) => (thread.waiting < least.waiting ? thread : least))];
  }

  #most() {
    return typeof Worker === "undefined" ? 1 : Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1);
  }

  /** @returns {Thread} */
  #makeThread() {
    return typeof Worker === "undefined"
      ? new HereThread(this.settings)
      : new WorkerThread(this.settings, (dead) => {
          this.#threads = this.#threads.filter((thread) => thread !== dead);
        });
  }

  /** End all threads, and with them what is still decoded: its promises fail. */
  end() {
    clearTimeout(this.#rest);
    this.#end(() => true);
  }

  /** @param {(thread: Thread) => boolean} whether */
  #end(whether) {
    const error = new DOMException("the decoder was configured anew", "AbortError");
    for (const thread of this.#threads.filter(whether)) thread.end(error);
    this.#threads = this.#threads.filter((thread) => !whether(thread));
  }
}

/** @param {number[][]} rows @param {number} column */
const sum = (rows, column) => rows.reduce((total, row) => total + row[column], 0);

class HereThread {
  #queue = Promise.resolve();

  /** @param {import("./surroundings.js").Settings} settings */
  constructor(settings) {
    this.decoder = new PictureDecoder(surroundings(settings));
  }

  /** @param {import("./decoder.js").Job} job @param {Listener} listener @param {AbortSignal} [signal] */
  run(job, listener, signal) {
    const done = this.#queue.then(async () => {
      const pause = async () => {
        await new Promise((resolve) => setTimeout(resolve));
        signal?.throwIfAborted();
      };
      signal?.throwIfAborted();
      for await (const part of this.decoder.parts(job, pause, listener.progress)) listener.part(part);
    });
    this.#queue = done.catch(() => {});
    return done;
  }

  waiting = 0; // there is no other

  get memoryBytes() {
    return this.decoder.memoryBytes;
  }

  end() {} // what it decodes is done
}

class WorkerThread {
  memoryBytes = 0;
  #next = 1;
  /** @type {Map<number, {listener: Listener, resolve: () => void, reject: (error: Error) => void}>} */
  #jobs = new Map();

  /** @param {import("./surroundings.js").Settings} settings @param {(thread: Thread) => void} died */
  constructor(settings, died) {
    this.worker = startWorker();
    this.worker.postMessage({ settings });
    this.worker.addEventListener("message", ({ data }) => this.#receive(data));
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      const error = new Error(`the decoder's thread died: ${event.message ?? "it could not be loaded"}`);
      this.end(error);
      died(this);
    });
  }

  /** @param {any} data */
  #receive(data) {
    this.memoryBytes = data.memory ?? this.memoryBytes;
    const job = this.#jobs.get(data.id);
    if (!job) return; // aborted
    let failed = data.error && unpackError(data.error);
    try {
      if (data.part) return job.listener.part(data.part);
      if (data.count) return job.listener.progress(data.done, data.count);
    } catch (error) {
      failed = error; // of whoever listens, and the job ends with it
      this.worker.postMessage({ id: data.id, abort: true });
    }
    this.#jobs.delete(data.id);
    if (failed) job.reject(failed);
    else job.resolve();
  }

  get waiting() {
    return this.#jobs.size;
  }

  /**
   * @param {import("./decoder.js").Job} job
   * @param {Listener} listener
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  run(job, listener, signal) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#jobs.delete(id);
        this.worker.postMessage({ id, abort: true });
        reject(signal?.reason);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      const settle = (/** @type {() => void} */ action) => {
        signal?.removeEventListener("abort", abort);
        action();
      };
      this.#jobs.set(id, {
        listener,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      });
      // What a view is copied with is all that it is a view of.
      const { bytes } = job,
        own = bytes.length < bytes.buffer.byteLength ? bytes.slice() : bytes;
      this.worker.postMessage({ id, job: { ...job, bytes: own } });
    });
  }

  /** @param {Error} error what jobs fail by that are not done */
  end(error) {
    this.worker.terminate();
    for (const job of this.#jobs.values()) job.reject(error);
    this.#jobs.clear();
  }
}

/** Where this package comes from another place than the page, which workers may not, one of the page's imports it. */
function startWorker() {
  if (new URL(import.meta.url).origin === location.origin)
    return new Worker(new URL("../worker.js", import.meta.url), { type: "module" }); // bundlers know these words
  const far = new URL("../worker.js", import.meta.url).href,
    script = new Blob([`import ${JSON.stringify(far)};`], { type: "text/javascript" });
  return new Worker(URL.createObjectURL(script), { type: "module" });
}
