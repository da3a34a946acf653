/** Which of the two modules is faster here: relaxed vectors are where the processor has dot products of bytes. */

/**
 * A module of one function: lane 0 of i32x4.relaxed_dot_i8x16_i7x16_add_s of vectors of the bytes a and b, and zeros.
 *
 *     (func (export "d") (param i32 i32) (result i32)
 *       (i32x4.extract_lane 0 (i32x4.relaxed_dot_i8x16_i7x16_add_s
 *         (i8x16.splat (local.get 0)) (i8x16.splat (local.get 1)) (i32x4.splat (i32.const 0)))))
 */
// prettier-ignore
const DOT = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version
  0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, // type: (i32, i32) -> i32
  0x03, 0x02, 0x01, 0x00, // one function
  0x07, 0x05, 0x01, 0x01, 0x64, 0x00, 0x00, // exported as "d"
  0x0a, 0x16, 0x01, 0x14, 0x00, // its code
  0x20, 0x00, 0xfd, 0x0f, 0x20, 0x01, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x11, // splat, splat, splat of 0
  0xfd, 0x93, 0x02, 0xfd, 0x1b, 0x00, 0x0b, // dot, lane 0
]);

/**
 * Whether the dot product of bytes is one instruction here (vpdpbusd, sdot). Where it is made of several, sums of two
 * products have 16 bits between them, which operands beyond the 7 bits show: they overflow.
 * @returns {boolean}
 */
export function hasByteDots() {
  if (!WebAssembly.validate(DOT)) return false;
  const { d } = /** @type {any} */ (new WebAssembly.Instance(new WebAssembly.Module(DOT)).exports);
  const squares = d(-128, -128),
    products = d(-128, -1);
  const signed = squares === 4 * 128 * 128 && products === 4 * 128,
    unsigned = squares === -4 * 128 * 128 && products === -4 * 128 * 255;
  return signed || unsigned;
}
