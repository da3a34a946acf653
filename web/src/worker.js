/** A decoder in a thread of its own: takes jobs one after the other, sends parts as they are decoded. */
import { packError } from "./errors.js";
import { PictureDecoder } from "./picture/decoder.js";
import { surroundings } from "./picture/surroundings.js";

/** @type {PictureDecoder | null} */
let decoder = null;
/** @type {Set<number>} */
const aborted = new Set();
let queue = Promise.resolve();

/** @param {number} id */
async function pause(id) {
  await new Promise((resolve) => setTimeout(resolve)); // lets messages in
  if (aborted.has(id)) throw new DOMException("decoding was aborted", "AbortError");
}

/** @param {number} id @param {import("./picture/decoder.js").Job} job */
async function run(id, job) {
  try {
    await pause(id);
    const parts = /** @type {PictureDecoder} */ (decoder).parts(
      job,
      () => pause(id),
      (done, count) => postMessage({ id, done, count }),
    );
    for await (const part of parts) postMessage({ id, part }, { transfer: [part.data.buffer] });
    postMessage({ id, memory: decoder?.memoryBytes });
  } catch (error) {
    postMessage({ id, error: packError(error), memory: decoder?.memoryBytes });
  } finally {
    aborted.delete(id);
  }
}

addEventListener("message", ({ data }) => {
  if (data.settings) decoder = new PictureDecoder(surroundings(data.settings));
  else if (data.abort) aborted.add(data.id);
  else queue = queue.then(() => run(data.id, data.job));
});
