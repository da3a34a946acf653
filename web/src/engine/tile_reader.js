/** One tile: segments to its integer latent (FORMAT.md, "Segment coding"). */
import { CorruptData } from "../errors.js";
import { LAYERS } from "../container/header.js";
import { PASSES, PHASES, countFrom } from "./bands.js";

const LEVELS_PER_CLASS = 16,
  GUESSED_SLICES = 2,
  BAND_INTS = 5,
  INT = 4;

/** @typedef {import("./module.js").Engine} Engine */
/** @typedef {import("./module.js").Scope} Scope */
/** @typedef {import("./bands.js").Band} Band */
/** @typedef {import("./latent_coder.js").LatentCoder} LatentCoder */

export class TileReader {
  /**
   * @param {LatentCoder} coder
   * @param {Scope} scope
   * @param {(Uint8Array | null)[]} segments
   * @param {number} h
   * @param {number} w
   * @param {number} level
   */
  constructor(coder, scope, segments, h, w, level) {
    this.coder = coder;
    this.engine = coder.engine;
    this.scope = scope;
    this.sides = [h, w];
    this.level = level;
    this.priorLevel = Math.floor((level * 64 + 126) / 252);
    this.columns = 4 * Math.ceil(w / 4);
    /** By layer, as far as they are there. @type {number[]} */
    this.readers = [];
    for (const segment of segments.slice(0, LAYERS)) {
      if (!segment) break;
      this.readers.push(this.#reader(segment));
    }
    /** Moves of each band, by its number. @type {number[]} */
    this.moves = [];
    this.features = 0;
    this.whole = 0;
  }

  /** @param {number} lastLayer */
  latent(lastLayer) {
    const { engine, coder } = this,
      [h, w] = this.sides,
      rows = 4 * Math.ceil(h / 4),
      { channels } = coder;
    const z = this.#hyper(rows / 4, this.columns / 4);
    this.moves = coder.bands.map((band) => this.#moves(band));
    const { prior } = coder,
      grid = [rows / 2, this.columns / 2];
    this.features = this.scope.allocate(grid[0] * grid[1] * prior.features);
    engine.check(
      engine.c.hyper(prior.hyperLayers, z, rows / 4, this.columns / 4, this.priorLevel, this.features),
    );
    this.whole = this.scope.allocate(rows * this.columns * channels * INT);
    engine.i32(this.whole, rows * this.columns * channels).fill(0);
    PASSES.forEach((place, p) => {
      const high = countFrom(place.row, h, place.stride),
        wide = countFrom(place.column, w, place.stride);
      if (high && wide && place.layer <= lastLayer)
        engine.scope((scope) => this.#pass(scope, p, grid, high, wide));
    });
    for (const reader of this.readers)
      engine.check(engine.c.finish_reader(reader), "segment is not what its symbols encode to");
    return this.#cropped();
  }

  /** @param {Uint8Array} segment */
  #reader(segment) {
    const { engine } = this;
    if (segment.length % 4) throw new CorruptData("segment is not a whole number of 32-bit words");
    const words = engine.put(segment),
      reader = engine.c.make_reader(words, segment.length / 4);
    engine.check(reader ? 0 : 1);
    this.scope.atEnd(() => engine.c.free_reader(reader));
    return reader;
  }

  /**
   * Symbols (count, groups) at a new address.
   * @param {Scope} scope
   * @param {number} reader
   * @param {number} tables
   * @param {number} classes
   * @param {number} moves
   * @param {number} count
   * @param {number} groups
   */
  #read(scope, reader, tables, classes, moves, count, groups) {
    const symbols = scope.allocate(count * groups * INT);
    this.engine.check(this.engine.c.read(reader, tables, classes, moves, symbols, count, groups));
    return symbols;
  }

  /** The hyper-latent (rows, columns, Z) int8. @param {number} rows @param {number} columns */
  #hyper(rows, columns) {
    const { engine, coder, scope } = this,
      count = rows * columns;
    const all = coder.hyperBands.reduce((sum, band) => sum + band.channels, 0),
      z = scope.allocate(count * all);
    for (const band of coder.hyperBands) {
      const { groups, size, channel } = band,
        classes = scope.allocate(count * groups * INT);
      engine.i32(classes, count * groups).fill(Math.floor(this.level / LEVELS_PER_CLASS));
      const at = this.#read(scope, this.readers[0], band.tables, classes, 0, count, groups);
      const symbols = engine.i32(at, count * groups),
        words = engine.i32(band.words, groups * band.count * size);
      const out = engine.i8(z, count * all);
      for (let i = 0, s = 0; i < count; i++) {
        for (let g = 0; g < groups; g++, s++) {
          const word = (g * band.count + symbols[s]) * size;
          for (let j = 0; j < size; j++) out[i * all + channel + j * groups + g] = words[word + j];
        }
      }
    }
    return z;
  }

  /** What classes of a band become, (groups, classes), as the tile tells. @param {Band} band */
  #moves({ groups, classes }) {
    const { engine, scope } = this,
      { offsets } = this.coder,
      zeros = scope.allocate(groups * INT);
    engine.i32(zeros, groups).fill(0);
    const flag = this.#read(scope, this.readers[0], offsets.flag, zeros, 0, 1, 1);
    let numbers = new Int32Array(groups).fill(offsets.zero);
    if (engine.i32(flag, 1)[0]) {
      const at = this.#read(scope, this.readers[0], offsets.table, zeros, 0, groups, 1);
      numbers = engine.i32(at, groups).slice();
    }
    const moves = scope.allocate(groups * classes * INT),
      out = engine.i32(moves, groups * classes);
    numbers.forEach((offset, g) => out.set(offsets.moved[offset], g * classes));
    return moves;
  }

  /**
   * Decode a pass at its (high, wide) positions.
   * @param {Scope} scope
   * @param {number} p
   * @param {number[]} grid
   * @param {number} high
   * @param {number} wide
   */
  #pass(scope, p, grid, high, wide) {
    const { engine, coder } = this,
      { prior, channels, slices } = coder,
      place = PASSES[p];
    const [top, left, step] = place.stride === 4 ? [place.row / 2, place.column / 2, 2] : [0, 0, 1];
    const rows = countFrom(top, grid[0], step),
      columns = countFrom(left, grid[1], step);
    const linear = place.maps ? prior.linear[p - 1] : { at: 0, channels: 0 };
    const hidden = scope.allocate(rows * columns * prior.hidden);
    const local = scope.allocate(rows * columns * linear.channels * INT);
    const starts = scope.put(Int32Array.from(PHASES.slice(0, place.maps), ([i, j]) => i * this.columns + j));
    engine.check(
      engine.c.open_pass(
        prior.enter[p].at,
        prior.middle[p].at,
        this.whole,
        channels,
        this.columns,
        starts,
        place.maps,
        this.features,
        prior.features,
        grid[0],
        grid[1],
        linear.at,
        linear.channels,
        prior.compand,
        prior.compandLength,
        top,
        left,
        step,
        this.priorLevel,
        hidden,
        local,
      ),
    );
    crop(engine.u8(hidden, rows * columns * prior.hidden), prior.hidden, columns, high, wide);
    crop(engine.i32(local, rows * columns * linear.channels), linear.channels, columns, high, wide);
    const count = high * wide,
      most = slices.length;
    const seen = scope.allocate(most * INT),
      widths = scope.put(Int32Array.from(slices, (slice) => slice.channels));
    let settling = 0;
    slices.forEach((slice, n) => {
      const mean = scope.allocate(count * slice.channels * INT),
        classes = scope.allocate(count * slice.groups * INT);
      const layer = (n - 1) * PHASES.length + place.phase,
        look = n ? prior.look[layer].at : 0;
      engine.check(
        engine.c.predict(
          look,
          n ? prior.tell[layer].at : 0,
          prior.leave[place.phase][n].at,
          seen,
          widths,
          n,
          high,
          wide,
          slice.channels,
          slice.groups,
          coder.binsAt,
          coder.bins.length,
          place.maps ? local : 0,
          linear.channels,
          slice.channel,
          settling,
          this.priorLevel,
          hidden,
          mean,
          classes,
        ),
        "segment does not decode",
      );
      const bands = this.#indices(scope, place, slice, classes, count),
        codewords = scope.allocate(count * slice.channels);
      engine.i32(seen, most)[n] = codewords;
      const first = ((place.row * this.columns + place.column) * channels + slice.channel) * INT;
      settling = engine.c.make_settling(
        bands.at,
        bands.count,
        slice.channels,
        wide,
        mean,
        this.whole + first,
        place.stride * this.columns * channels * INT,
        place.stride * channels * INT,
        prior.compand,
        prior.compandLength,
        codewords,
      );
      engine.check(settling ? 0 : 1);
      const made = settling;
      scope.atEnd(() => engine.free(made));
      if (n === most - 1) engine.check(engine.c.settle(settling, count));
    });
  }

  /**
   * Indices of a slice's bands, as an array of `vq_settled_band`; none where the layer is missing.
   * @param {Scope} scope
   * @param {import("./bands.js").Pass} place
   * @param {import("./bands.js").Slice} slice
   * @param {number} classes
   * @param {number} count
   */
  #indices(scope, place, slice, classes, count) {
    const { engine, coder } = this,
      reader = this.readers[place.layer],
      at = scope.allocate(slice.bands.length * BAND_INTS * INT);
    if (!reader) return { at, count: 0 };
    slice.bands.forEach((band, b) => {
      const own = scope.allocate(count * band.groups * INT),
        from = engine.i32(classes, count * slice.groups);
      const to = engine.i32(own, count * band.groups),
        first = band.group - slice.group;
      for (let i = 0, o = 0; i < count; i++) {
        for (let g = i * slice.groups + first; g < i * slice.groups + first + band.groups; g++)
          to[o++] = from[g];
      }
      const moves = this.moves[coder.bands.indexOf(band)];
      const index = this.#read(scope, reader, band.tables, own, moves, count, band.groups);
      scope.free(own);
      engine
        .i32(at, slice.bands.length * BAND_INTS)
        .set([band.words, index, band.groups, band.count, band.size], b * BAND_INTS);
    });
    return { at, count: slice.bands.length };
  }

  /** What lies within the tile; of slices that nothing is known of, zeros. */
  #cropped() {
    const { engine, coder } = this,
      [h, w] = this.sides,
      { channels, slices } = coder,
      row = this.columns * channels;
    const whole = engine.i32(this.whole, 4 * Math.ceil(h / 4) * row);
    const result = new (fits16(whole) ? Int16Array : Int32Array)(h * w * channels);
    for (let y = 0; y < h; y++) result.set(whole.subarray(y * row, y * row + w * channels), y * w * channels);
    const guessed = slices[GUESSED_SLICES]?.channel ?? channels;
    for (const { layer, row: top, column, stride } of PASSES) {
      if (layer < this.readers.length) continue;
      for (let y = top; y < h; y += stride) {
        for (let x = column; x < w; x += stride)
          result.fill(0, (y * w + x) * channels + guessed, (y * w + x + 1) * channels);
      }
    }
    return result;
  }
}

/**
 * Keep the first rows and columns of a map, moved together.
 * @param {Uint8Array | Int32Array} map
 * @param {number} channels
 * @param {number} columns
 * @param {number} high
 * @param {number} wide
 */
function crop(map, channels, columns, high, wide) {
  if (wide === columns) return;
  for (let y = 1; y < high; y++)
    map.copyWithin(y * wide * channels, y * columns * channels, (y * columns + wide) * channels);
}

/** @param {Int32Array} numbers */
function fits16(numbers) {
  for (let i = 0; i < numbers.length; i++) if (numbers[i] !== (numbers[i] << 16) >> 16) return false;
  return true;
}
