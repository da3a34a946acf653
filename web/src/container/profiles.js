/** Well-known colour profiles, byte for byte (FORMAT.md, "Well-known profiles"). */

const WHITE = [63190, 65536, 54061];
const D65_TO_D50 = [68674, 1502, -3291, 1939, 64912, -1119, -606, 988, 49262];

/**
 * @typedef {{name: string, power: number, gray: boolean, colorants: number[]}} WellKnown power 0 is the curve of sRGB
 */

/** @type {[number, string, number, number[]][]} */
const LIST = [
  [1, "sRGB", 0, [28578, 14581, 912, 25241, 46981, 6362, 9376, 3972, 46799]],
  [2, "Display P3", 0, [33759, 15807, -69, 19135, 45367, 2745, 10296, 4363, 51385]],
  [3, "Adobe RGB (1998)", 563, [39960, 20389, 1276, 13453, 41004, 3989, 9777, 4143, 48796]],
  [4, "Gray, sRGB curve", 0, []],
  [5, "Gray gamma 2.2", 563, []],
  [6, "Gray gamma 1.8", 461, []],
];

/** @type {Map<number, WellKnown>} */
export const PROFILES = new Map(
  LIST.map(([number, name, power, colorants]) => [
    number,
    { name, power, gray: !colorants.length, colorants },
  ]),
);

/** Big-endian bytes of text, and of numbers of 16 or 32 bits. */
class Writer {
  /** @type {number[]} */
  bytes = [];

  /** @param {string} letters */
  text(letters) {
    this.bytes.push(...Array.from(letters, (letter) => letter.charCodeAt(0)));
    return this;
  }

  /** @param {...number} numbers */
  u16(...numbers) {
    for (const n of numbers) this.bytes.push((n >> 8) & 255, n & 255);
    return this;
  }

  /** @param {...number} numbers */
  u32(...numbers) {
    for (const n of numbers) this.bytes.push((n >> 24) & 255, (n >> 16) & 255, (n >> 8) & 255, n & 255);
    return this;
  }
}

/** @param {string} words */
function textTag(words) {
  const writer = new Writer()
    .text("mluc")
    .u32(0, 1, 12)
    .text("enUS")
    .u32(2 * words.length, 28);
  return writer.u16(...Array.from(words, (letter) => letter.charCodeAt(0))).bytes;
}

/** @param {number[]} values */
const xyz = (values) => new Writer().text("XYZ ").u32(0, ...values).bytes;

/** @param {number} power */
function curve(power) {
  if (power) return new Writer().text("curv").u32(0, 1).u16(power).bytes;
  return new Writer().text("para").u32(0).u16(3, 0).u32(157286, 62119, 3417, 5072, 2651).bytes;
}

/**
 * The profile that a number stands for.
 * @param {number} number
 * @returns {Uint8Array}
 */
export function profileBytes(number) {
  const profile = PROFILES.get(number);
  if (!profile) throw new RangeError(`no well-known profile ${number}`);
  const { name, power, gray, colorants } = profile,
    own = curve(power);
  /** @type {[string, number[]][]} */
  const tags = [
    ["desc", textTag(name)],
    ["cprt", textTag("CC0")],
    ["wtpt", xyz(WHITE)],
  ];
  if (gray) {
    tags.push(["kTRC", own]);
  } else {
    tags.push(["chad", new Writer().text("sf32").u32(0, ...D65_TO_D50).bytes]);
    ["r", "g", "b"].forEach((letter, i) =>
      tags.push([`${letter}XYZ`, xyz(colorants.slice(3 * i, 3 * i + 3))]),
    );
    ["r", "g", "b"].forEach((letter) => tags.push([`${letter}TRC`, own]));
  }
  const table = new Writer().u32(tags.length),
    places = new Map();
  /** @type {number[]} */
  const content = [];
  for (const [signature, tag] of tags) {
    const key = tag.join();
    if (!places.has(key)) {
      places.set(key, 132 + 12 * tags.length + content.length);
      content.push(...tag, ...new Array((4 - (tag.length % 4)) % 4).fill(0));
    }
    table.text(signature).u32(places.get(key), tag.length);
  }
  const size = 128 + table.bytes.length + content.length;
  const head = new Writer()
    .u32(size, 0, 0x04300000)
    .text("mntr")
    .text(gray ? "GRAY" : "RGB ")
    .text("XYZ ");
  head
    .u16(2026, 1, 1, 0, 0, 0)
    .text("acsp")
    .u32(0, 0, 0, 0, 0, 0, 0, ...WHITE);
  const result = new Uint8Array(size);
  result.set(head.bytes);
  result.set(table.bytes, 128);
  result.set(content, 128 + table.bytes.length);
  return result;
}
