"""The encoder's choices and the tables behind them in all engines, and what the C engine refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.entropy.engines import ENGINES, ISAS, NATIVE, engine, isa
from tests.entropy.plain_tables import combine_rows
from vqcodec.compress.codeword_search import BandSearch, OffsetSearch
from vqcodec.entropy.class_offsets import ClassOffsets, offset_counts
from vqcodec.entropy.integer_prior import LATENT_MAX
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.table_set import RowTables, TableSet
from vqcodec.entropy.tables import TOTAL, certain_words, counts_from_codes, make_powers
from vqcodec.errors import CorruptData

SEEDS = st.integers(0, 2**32 - 1)
BINS = (5, 4)


def random_rows(random: np.random.Generator, groups: int, words: int) -> np.ndarray:
    """Rows as they are, all alike, and at both ends."""
    rows = random.integers(0, 256, (groups, sum(BINS), words))
    rows[random.random(rows.shape[:2]) < 0.2] = random.choice([0, 255])
    return (rows // random.integers(1, 5)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, groups=st.integers(1, 4), words=st.integers(2, 400), usual=st.booleans())
def test_tables_are_those_of_the_format(seed, groups, words, usual):
    random = np.random.default_rng(seed)
    rows = random_rows(random, groups, words)
    powers = random.integers(0, 2**32, 256, dtype=np.uint32) | np.uint32(1)
    tables = RowTables(rows, BINS, make_powers() if usual else powers)
    wanted = counts_from_codes(combine_rows(rows, BINS), tables._powers).reshape(-1, words)
    assert np.array_equal(tables.counts, wanted)
    numbers = random.permutation(len(wanted))[:5]
    assert np.array_equal(tables.some(numbers), wanted[numbers])
    for name in ISAS:
        with isa(name):
            counts = np.zeros(wanted.shape, dtype=np.int32)
            NATIVE.Tables(rows, BINS, tables._powers).fill_counts(0, counts)
            assert np.array_equal(counts, wanted)


def test_tables_that_do_not_fit_are_refused():
    rows, powers = np.zeros((2, 9, 8), np.uint8), make_powers()
    for wrong in (rows[:, 1:], rows[0], rows.astype(np.int16)):
        with pytest.raises(ValueError, match=r"^the tables do not fit the context classes$"):
            RowTables(wrong, BINS, powers)
    only = np.arange(256) == 0
    for none in (powers[1:], powers.astype(np.int64), np.where(only, np.uint32(0), powers)):
        with pytest.raises(ValueError, match=r"^the powers are not 256 numbers of which the first is not 0$"):
            RowTables(rows, BINS, none)
    RowTables(rows, BINS, np.where(only, powers, np.uint32(0)))


def test_thousands_of_tables_are_asked_for_at_once():
    rows = np.random.default_rng(0).choice(np.array([0, 99, 255], np.uint8), (1, 160, 3))
    tables, numbers = RowTables(rows, (80, 80), make_powers()), np.arange(6400)
    codes = combine_rows(rows, (80, 80))[0]
    assert np.array_equal(tables.certain(numbers), certain_words(codes, make_powers()))
    symbols, parts = np.ones_like(numbers), RowTables(rows, (80, 80), make_powers())
    few = [parts.prices(own, symbols[own]) for own in np.split(numbers, 10)]
    assert np.array_equal(tables.prices(numbers, symbols), np.concatenate(few))


@pytest.mark.parametrize("name", ENGINES)
def test_threads_may_share_tables(name):
    random = np.random.default_rng(0)
    rows = random_rows(random, 3, 50)
    classes = random.integers(20, size=(400, 3)).astype(np.int32)
    symbols = random.integers(50, size=(400, 3)).astype(np.int32)
    tables = RowTables(rows, BINS, make_powers())

    def code(number: int) -> np.ndarray:
        writer = SegmentWriter()
        writer.write(symbols, classes, tables)
        reader = SegmentReader(writer.finish())
        found = reader.read(classes, tables)
        reader.finish()
        return found

    with engine(name), ThreadPoolExecutor(8) as pool:
        assert all(np.array_equal(found, symbols) for found in pool.map(code, range(32)))


def certain_rows(random: np.random.Generator, groups: int, words: int) -> np.ndarray:
    """Random rows that leave no doubt in about half of the classes."""
    rows = random_rows(random, groups, words) // 2
    likely = random.integers(words, size=groups)
    for number in np.flatnonzero(random.random(BINS[0]) < 0.5):
        rows[:, number] = 255
        rows[np.arange(groups), number, likely] = 0
        rows[np.arange(groups), BINS[0] :, likely] = 0
    return rows.astype(np.uint8)


def random_search(random: np.random.Generator, groups: int, words: int, size: int) -> BandSearch:
    codewords = random.integers(-2000, 2001, (groups, words, size)) // random.choice([1, 1000])
    make = random_rows if random.random() < 0.5 else certain_rows
    tables = RowTables(make(random, groups, words), BINS, make_powers())
    return BandSearch(codewords, tables, 1 / 128, 7.2, certain=bool(random.random() < 0.7))


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    groups=st.integers(1, 5),
    words=st.integers(2, 200),
    size=st.integers(1, 8),
    sides=st.tuples(st.integers(0, 6), st.integers(1, 9)),
)
def test_all_choose_the_same_codewords(seed, groups, words, size, sides):
    random = np.random.default_rng(seed)
    search = random_search(random, groups, words, size)
    # Parts of wider arrays, and residuals on a grid so that some costs are equal.
    residual = random.normal(size=(*sides, groups * size + 3)).astype(np.float32) * 4
    residual = np.where(random.random(residual.shape) < 0.3, np.rint(residual), residual)[:, :, 2:-1]
    classes = random.integers(20, size=(*sides, groups + 2)).astype(np.int32)[:, :, 1:-1]
    with engine("torch"):
        wanted = search(residual, classes)
    assert wanted.shape == classes.shape
    for name in ISAS:
        for threads in (1, 2):
            with isa(name), engine("native", threads):
                assert np.array_equal(search(residual, classes), wanted)


@pytest.mark.parametrize("name", ENGINES)
def test_a_residual_without_bounds_chooses_a_codeword(name):
    search = random_search(np.random.default_rng(0), 2, 33, 2)
    for value in (np.nan, np.inf, -np.inf, 3e38):
        with engine(name), np.errstate(all="ignore"):
            index = search(np.full((2, 3, 4), value, np.float32), np.zeros((2, 3, 2), np.int32))
        assert index.min() >= 0
        assert index.max() < 33


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, groups=st.integers(1, 6), words=st.integers(2, 60), n=st.integers(0, 300))
def test_all_choose_the_same_offsets(seed, groups, words, n):
    random = np.random.default_rng(seed)
    search = random_search(random, groups, words, 1)
    offsets = OffsetSearch(ClassOffsets(offset_counts(BINS), BINS))
    classes = random.integers(20, size=(n, groups)).astype(np.int32)
    index = np.minimum(random.geometric(0.2, size=(n, groups)) - 1, words - 1).astype(np.int32)
    with engine("torch"):
        wanted = offsets(search, index, classes)
    for threads in (1, 2) if NATIVE is not None else ():
        with engine("native", threads):
            assert np.array_equal(offsets(search, index, classes), wanted)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, groups=st.integers(1, 5), words=st.integers(2, 60), n=st.integers(0, 200))
def test_all_leave_out_what_is_certain(seed, groups, words, n):
    """The rule by the counts, the same words from all engines, and symbols that come back."""
    random = np.random.default_rng(seed)
    tables = RowTables(certain_rows(random, groups, words), BINS, make_powers())
    classes = random.integers(20, size=(n, groups)).astype(np.int32)
    moves = random.integers(20, size=(groups, 20)).astype(np.int32)
    counts = tables.counts.reshape(groups, 20, words)
    largest = counts.max(-1)
    only = tables.certain(np.arange(groups * 20)).reshape(groups, 20)
    assert (only[largest > TOTAL - 2**11 + 1] >= 0).all()
    assert (only[largest < TOTAL - 2**11 - words] < 0).all()
    assert (only < 0)[only != counts.argmax(-1)].all()
    mine = only[np.arange(groups), classes]
    symbols = np.where(mine < 0, random.integers(words, size=(n, groups)), mine).astype(np.int32)
    # Written one by one, in the order of the format.
    plain = SegmentWriter()
    for g in range(groups):
        moved = moves[g, classes[:, g]]
        for i in np.argsort(moved, kind="stable"):
            if mine[i, g] < 0:
                one = counts[g, moved[i]].reshape(1, -1)
                plain.write(symbols[i : i + 1, g], np.zeros(1, np.int32), TableSet(one))
    wanted = plain.finish()
    for name in ENGINES:
        with engine(name):
            writer = SegmentWriter()
            writer.write(symbols, classes, tables, moves)
            assert writer.finish() == wanted
            reader = SegmentReader(wanted)
            assert np.array_equal(reader.read(classes, tables, moves), symbols)
            reader.finish()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("only", [0, 3])
def test_what_is_certain_takes_no_bits_and_is_nothing_else(name, only):
    rows = np.full((2, sum(BINS), 7), 200, np.uint8)
    rows[:, :, only] = 0
    tables, classes = RowTables(rows, BINS, make_powers()), np.zeros((50, 2), np.int32)
    moves, symbols = np.zeros((2, 20), np.int32), np.full((50, 2), only, np.int32)
    with engine(name):
        writer = SegmentWriter()
        writer.write(symbols, classes, tables, moves)
        assert writer.finish() == b""
        reader = SegmentReader(b"")
        assert (reader.read(classes, tables, moves) == only).all()
        reader.finish()
        symbols[49, 1] = 2
        with pytest.raises(IndexError, match=r"^a symbol is (out of range|not what it is certain to be)$"):
            SegmentWriter().write(symbols, classes, tables, moves)
        writer = SegmentWriter()
        writer.write(symbols, classes, tables)
        assert writer.finish() != b""
        with pytest.raises(ValueError, match=r"moves must be|^the moves are not those of as many groups$"):
            SegmentWriter().write(symbols * 0 + only, classes, tables, moves[:1])


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("wrong", [-1, 20])
def test_classes_move_within_their_group(name, wrong):
    tables, zeros = (
        RowTables(np.zeros((2, sum(BINS), 7), np.uint8), BINS, make_powers()),
        np.zeros((5, 2), np.int32),
    )
    for group in range(2):
        moves = np.zeros((2, 20), np.int32)
        moves[group, 0] = wrong
        with engine(name):
            with pytest.raises(IndexError, match=r"^a class is out of range$"):
                SegmentWriter().write(zeros, zeros, tables, moves)
            with pytest.raises(IndexError, match=r"^a class is out of range$"):
                SegmentReader(bytes(8)).read(zeros, tables, moves)


def test_prices_are_those_of_the_counts():
    random = np.random.default_rng(5)
    tables = RowTables(random_rows(random, 2, 90) // 2, BINS, make_powers())
    numbers, symbols = (grid.ravel() for grid in np.indices(tables.counts.shape))
    nats = tables.prices(numbers, symbols) * (17 / 255 / 1024)
    assert np.abs(nats + np.log(tables.counts.ravel() / TOTAL))[tables.counts.ravel() > 1000].max() < 2e-3


def test_prices_end_at_the_largest_code():
    rows = np.zeros((1, sum(BINS), 3), np.uint8)
    rows[0, :, 1], rows[0, :, 2] = 2, 255
    numbers, symbols = np.zeros(3, np.int64), np.arange(3)
    prices = RowTables(rows, BINS, make_powers()).prices(numbers, symbols)
    assert prices.dtype == np.int64
    assert (prices - prices[0]).tolist() == [0, 4 * 1024, 255 * 1024]


# -- the C engine by itself: whatever it is given, it refuses or serves -------------------------
needs_native = pytest.mark.skipif(NATIVE is None, reason="the C engine was not built")


def valid_calls():
    """(function, arguments) that are right, small, and of every function."""
    random = np.random.default_rng(1)

    def integers(low, high, shape, dtype):
        return random.integers(low, high, shape).astype(dtype)

    def layer(outputs, inputs, kernel, signed):
        weight = integers(-127, 128, (outputs, inputs, kernel, kernel), np.int8)
        bias, multiplier = np.zeros((9, outputs), np.int32), np.full(outputs, 9, np.int32)
        return NATIVE.Layer(weight, bias, multiplier, np.full(outputs, 9, np.uint8), signed)

    rows = integers(0, 90, (3, 9, 21), np.uint8)
    tables = NATIVE.Tables(rows, BINS, make_powers())
    classes, index = integers(0, 20, (4, 5, 3), np.int32), integers(0, 21, (4, 5, 3), np.int32)
    flat = classes.reshape(-1, 3), index.reshape(-1, 3)
    moves = integers(0, 20, (3, 20), np.int32)
    rows[:, :2] = 250  # some symbols are certain
    rows[:, :2, 0] = rows[:, 5:, 0] = 0
    only = RowTables(rows, BINS, make_powers()).certain(flat[0] + np.arange(3) * 20)
    assert (only >= 0).any()
    assert (only < 0).any()
    symbols = np.where(only < 0, flat[1], only)
    words = integers(-300, 300, (3, 21, 2), np.int32)
    latent, mean, seen = (
        np.zeros((4, 5, 6), np.int32),
        np.zeros((4, 5, 6), np.int32),
        np.zeros((4, 5, 6), np.int8),
    )
    compand = np.arange(LATENT_MAX + 1).clip(0, 127).astype(np.uint8)
    hidden, features = np.zeros((4, 5, 7), np.uint8), integers(0, 256, (4, 5, 6), np.uint8)
    factors, norms = np.zeros((3, 2, 32), np.float32), np.zeros((3, 32), np.float32)
    moved = integers(0, 20, (21, 20), np.int32)
    layers = layer(9, 2, 3, 2), layer(16, 9, 1, 0), layer(6, 4, 3, 0)
    leave, look, tell = layer(12, 7, 1, 0), layer(5, 6 + 7, 1, 6), layer(7, 5, 1, 0)
    phases = (latent, latent)
    linear = integers(-9, 9, (4, 2, 3, 3), np.int16)
    writer = NATIVE.Encoder()
    coded = flat[0], tables, moves
    writer.encode(symbols, *coded)
    data = np.frombuffer(writer.finish(), np.uint32)
    return {
        "fill_counts": (tables.fill_counts, (55, np.zeros((5, 21), np.int32))),
        "encode": (lambda *a: NATIVE.Encoder().encode(*a), (symbols, *coded)),
        "decode": (lambda d, *a: NATIVE.Decoder(d).decode(*a), (data, symbols.copy(), *coded)),
        "hyper": (NATIVE.hyper, (*layers, np.zeros((2, 3, 2), np.int8), 3, 2, np.zeros((4, 6, 6), np.uint8))),
        "open_pass": (
            NATIVE.open_pass,
            (layer(7, 2 * 4 + 6, 3, 8), layer(7, 7, 1, 0), phases, features, linear, compand, (1, 0, 2), 9, 2,
             np.zeros((2, 3, 7), np.uint8), np.zeros((2, 3, 4), np.int32)),
        ),
        "predict": (
            NATIVE.predict,
            (look, tell, leave, ((words,), (index,), mean, latent, compand, seen), (seen,), hidden, latent, 2,
             BINS, 9, 2, mean.copy(), np.zeros((4, 5, 3), np.int32)),
        ),
        "settle": (
            lambda *a: NATIVE.settle(a[:6], *a[6:]), ((words,), (index,), mean, latent, compand, seen, 2)
        ),
        "nearest": (NATIVE.nearest, (tables, factors, norms, mean.astype(np.float32), classes, 1, 2, index)),
        "offsets": (
            NATIVE.offsets, (tables, flat[1], flat[0], moved, np.zeros(21, np.int64), (7, 3), 10, 2,
                             np.zeros(3, np.int32)),
        ),
    }  # fmt: skip


FUNCTIONS = (
    "fill_counts",
    "encode",
    "decode",
    "hyper",
    "open_pass",
    "predict",
    "settle",
    "nearest",
    "offsets",
)


def damaged(value):
    """What could stand in place of an argument."""
    if isinstance(value, np.ndarray):
        yield value.astype(np.float64)
        yield value[None]
        yield value[..., None]
        yield np.concatenate([value, value])
        for axis in range(value.ndim):
            yield np.concatenate([value, value], axis)
            yield np.delete(value, 0, axis)
            yield np.repeat(value, 3, axis)[(slice(None),) * axis + (slice(None, None, 3),)]
        frozen = value.copy()
        frozen.flags.writeable = False
        yield frozen
        if value.dtype.kind == "i":
            yield np.full_like(value, np.iinfo(value.dtype).min)
            yield np.full_like(value, np.iinfo(value.dtype).max)
        yield np.empty((0,) * value.ndim, value.dtype)
    elif isinstance(value, tuple):
        yield from ((), value * 2, value * 40, value[1:])
        for place, part in enumerate(value):
            yield from ((*value[:place], other, *value[place + 1 :]) for other in damaged(part))
    elif isinstance(value, int):
        yield from (-1, 0, 1, 2, 63, 65, 2**14, 2**31 - 1, -(2**31), 2**40)
    yield None
    yield b"bytes"
    yield NATIVE.Encoder()


@needs_native
@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_arguments_are_refused_and_harm_nothing(name):
    """Every argument replaced by others; under a sanitiser (see CONTRIBUTING.md) this finds overruns."""
    function, arguments = valid_calls()[name]
    function(*arguments)
    refused = served = 0
    for place, value in enumerate(arguments):
        for other in damaged(value):
            function, fresh = valid_calls()[name]
            try:
                function(*fresh[:place], other, *fresh[place + 1 :])
                served += 1
            except (ValueError, TypeError, IndexError, OverflowError):
                refused += 1
    assert refused > 4 * len(arguments) > served / 4


@needs_native
@pytest.mark.parametrize("place", range(5))
def test_layers_that_do_not_fit_are_refused(place):
    weight, bias = np.ones((3, 2, 3, 3), np.int8), np.ones((9, 3), np.int32)
    arguments = weight, bias, np.ones(3, np.int32), np.ones(3, np.uint8), 1
    NATIVE.Layer(*arguments)
    for other in damaged(arguments[place]):
        try:
            NATIVE.Layer(*arguments[:place], other, *arguments[place + 1 :])
        except (ValueError, TypeError, ArithmeticError):
            continue
        assert isinstance(other, int | np.ndarray)


@needs_native
def test_a_coder_ends_once():
    tables = NATIVE.Tables.from_counts(np.array([[TOTAL // 2, TOTAL // 2]], np.int32))
    one = np.zeros((1, 1), np.int32)
    encoder = NATIVE.Encoder()
    encoder.encode(one, one, tables)
    words = np.frombuffer(encoder.finish(), np.uint32)
    decoder = NATIVE.Decoder(words)
    assert decoder.decode(one, one, tables)
    assert decoder.finish()
    for coder, call in ((encoder, "encode"), (decoder, "decode")):
        with pytest.raises(RuntimeError):
            getattr(coder, call)(one, one, tables)
        with pytest.raises(RuntimeError):
            coder.finish()
    with pytest.raises(TypeError):
        NATIVE.Encoder().encode(one, one, object())


@needs_native
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=80), seed=SEEDS, n=st.integers(0, 60))
def test_any_words_decode_or_are_corrupt(data, seed, n):
    random = np.random.default_rng(seed)
    tables = RowTables(random_rows(random, 3, 30), BINS, make_powers())
    classes = random.integers(20, size=(n, 3)).astype(np.int32)
    with engine("native"):
        try:
            reader = SegmentReader(data)
            symbols = reader.read(classes, tables)
            reader.finish()
        except CorruptData:
            return
        writer = SegmentWriter()
        writer.write(symbols, classes, tables)
        assert writer.finish() == data
