/** zlib streams, by what browsers and Node have for them. */

/** Bytes that are handed over at once; a browser inflates all of them, however little of it is read. */
const SLICE = 4096;

/**
 * Inflate one whole zlib stream; stops a little after `most` bytes, which the caller finds too long.
 * @param {Uint8Array} data
 * @param {number} most
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 * @throws {TypeError} it is damaged, cut short, or followed by other bytes
 */
export async function inflate(data, most) {
  if (/** @type {any} */ (globalThis).process?.versions?.node) return inflateInNode(data, most);
  const stream = new DecompressionStream("deflate"),
    writer = stream.writable.getWriter();
  const written = feed(writer, data);
  written.catch(() => {}); // the reader meets the same error
  const reader = stream.readable.getReader(),
    parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    if (size > most) {
      await reader.cancel().catch(() => {});
      break;
    }
  }
  if (size <= most) await written;
  const result = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** @param {WritableStreamDefaultWriter<BufferSource>} writer @param {Uint8Array} data */
async function feed(writer, data) {
  for (let at = 0; at < data.length; at += SLICE) {
    await writer.write(new Uint8Array(data.subarray(at, at + SLICE))); // streams may take a buffer over
  }
  await writer.close();
}

/** Node's streams say nothing of bytes after the end. @param {Uint8Array} data @param {number} most */
async function inflateInNode(data, most) {
  const { inflateSync } = await import(/* @vite-ignore */ "node:zlib".slice());
  try {
    const maxOutputLength = Math.min(most + 1, 2 ** 31);
    const { buffer, engine } = inflateSync(data, { maxOutputLength, info: true });
    if (engine.bytesWritten !== data.length) throw new TypeError("bytes after the end of the stream");
    return new Uint8Array(buffer);
  } catch (error) {
    if (/** @type {any} */ (error).code === "ERR_BUFFER_TOO_LARGE") return new Uint8Array(most + 1);
    throw error;
  }
}
