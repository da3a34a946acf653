/** Reading the single fields of a file; every read checks the end of the data first. */
import { CorruptData, Truncated } from "../errors.js";

export const VARINT_MAX = 2 ** 32 - 1;
const VARINT_BYTES = 5;

/**
 * The message of all container errors: which field, at which offset, what is wrong.
 * @param {string} name @param {number} offset @param {string} what
 */
export const where = (name, offset, what) => `${name} at offset ${offset}: ${what}`;

export class Cursor {
  /** @param {Uint8Array} data @param {number} [offset] */
  constructor(data, offset = 0) {
    this.data = data;
    this.offset = offset;
  }

  /** Bytes from here to the end. */
  get left() {
    return this.data.length - this.offset;
  }

  /** Check that so many bytes are there. @param {number} size @param {string} name */
  require(size, name) {
    if (size > this.left) {
      throw new Truncated(
        where(name, this.offset, `needs ${size} more bytes but the data ends after ${this.left}`),
      );
    }
  }

  /** The next bytes, as a view. @param {number} size @param {string} name */
  take(size, name) {
    this.require(size, name);
    this.offset += size;
    return this.data.subarray(this.offset - size, this.offset);
  }

  /** @param {string} name */
  byte(name) {
    return this.take(1, name)[0];
  }

  /** @param {string} name */
  u32(name) {
    return readU32(this.take(4, name), 0);
  }

  /** An LEB128 number in its shortest form. @param {string} name */
  varint(name) {
    const start = this.offset;
    let value = 0;
    for (let index = 0; index < VARINT_BYTES; index++) {
      const byte = this.byte(name);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) {
        if (byte === 0 && index > 0)
          throw new CorruptData(where(name, start, "the varint is not in its shortest form"));
        if (value > VARINT_MAX)
          throw new CorruptData(where(name, start, `the varint is above ${VARINT_MAX}`));
        return value;
      }
    }
    throw new CorruptData(where(name, start, `the varint is longer than ${VARINT_BYTES} bytes`));
  }
}

/** @param {Uint8Array} bytes @param {number} at */
export function readU32(bytes, at) {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}
