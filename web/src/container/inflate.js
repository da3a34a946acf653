/** zlib streams, by what browsers and Node have for them. */

/**
 * Inflate one whole zlib stream; stops a little after `most` bytes, which the caller finds too long.
 * @param {Uint8Array} data
 * @param {number} most
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 * @throws {TypeError} it is damaged, cut short, or followed by other bytes
 */
export async function inflate(data, most) {
  const stream = new DecompressionStream("deflate"),
    writer = stream.writable.getWriter();
  const copy = new Uint8Array(data); // streams may take a buffer over
  const written = writer.write(copy).then(() => writer.close());
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
