/**
 * Every error that a file can cause, named as in the Python package; `message` is one line for people.
 *
 * VQCodecError
 * |-- CorruptData          damaged, or not a .vqc file
 * |-- Truncated            the bytes end before the file's own end
 * |-- UnsupportedVersion   valid, but needs a newer decoder
 * |-- LimitExceeded        announces more than the limits allow
 * |-- UnsuitableOption     not for this picture: a region outside of it
 * |-- ModelNotFound        a weights file that cannot be had, or is none
 * `-- ModelMismatch        the file needs other weights
 */
export class VQCodecError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = this.constructor.name;
  }
}

export class CorruptData extends VQCodecError {}
export class Truncated extends VQCodecError {}
export class UnsupportedVersion extends VQCodecError {}
export class LimitExceeded extends VQCodecError {}
export class UnsuitableOption extends VQCodecError {}
export class ModelNotFound extends VQCodecError {}
export class ModelMismatch extends VQCodecError {}

const KINDS = {
  CorruptData,
  Truncated,
  UnsupportedVersion,
  LimitExceeded,
  UnsuitableOption,
  ModelNotFound,
  ModelMismatch,
};

/**
 * An error as it crosses to another thread, and back.
 * @param {unknown} error
 */
export function packError(error) {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { name, message };
}

/**
 * @param {{name: string, message: string}} packed
 * @returns {Error}
 */
export function unpackError({ name, message }) {
  const kind = KINDS[/** @type {keyof typeof KINDS} */ (name)];
  if (kind) return new kind(message);
  return name === "AbortError"
    ? new DOMException(message, name)
    : Object.assign(new Error(message), { name });
}
