"""The range coder: round trips, sizes, damage, and a second decoder in plain integers, in every engine."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.entropy.engines import ENGINES, engine
from tests.entropy.reference_decoder import RangeDecoder
from vqcodec.entropy.constriction_coder import runs
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.table_set import TableSet
from vqcodec.entropy.tables import TOTAL, TOTAL_BITS
from vqcodec.errors import CorruptData


def counts_of(weights: np.ndarray) -> np.ndarray:
    """Counts (tables, K) that sum to 2**24, roughly in proportion to `weights`."""
    words = weights.shape[1]
    counts = 1 + np.floor(weights / weights.sum(1, keepdims=True) * (TOTAL - words)).astype(np.int64)
    counts[np.arange(len(counts)), counts.argmax(1)] += TOTAL - counts.sum(1)
    return counts


def random_counts(random: np.random.Generator, tables: int, words: int, kind: str) -> np.ndarray:
    if kind == "uniform":
        return counts_of(np.ones((tables, words)))
    if kind == "one-hot":
        weights = np.zeros((tables, words))
        weights[np.arange(tables), random.integers(words, size=tables)] = 1
        return counts_of(weights)
    return counts_of(random.random((tables, words)) ** 12 + 1e-9)


def draw(random: np.random.Generator, counts: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """A symbol for each entry of `tables`, drawn from that table."""
    symbols = np.empty(len(tables), dtype=np.int64)
    order, spans = runs(tables)
    for table, start, end in spans:
        value = random.integers(TOTAL, size=end - start)
        symbols[order[start:end]] = np.searchsorted(counts[table].cumsum(), value, side="right")
    return symbols


def write(parts: list[tuple[np.ndarray, np.ndarray, TableSet]]) -> bytes:
    """A segment, the same from all engines."""
    segments = []
    for name in ENGINES:
        with engine(name):
            writer = SegmentWriter()
            for symbols, tables, models in parts:
                writer.write(symbols, tables, models)
            segments.append(writer.finish())
    assert segments == segments[:1] * len(segments)
    return segments[0]


def read_all(data: bytes, tables: np.ndarray, models: TableSet) -> np.ndarray:
    """Symbols of a segment, or CorruptData, the same from all engines."""
    found: list[np.ndarray | CorruptData] = []
    for name in ENGINES:
        with engine(name):
            try:
                reader = SegmentReader(data)
                symbols = reader.read(tables, models)
                reader.finish()
                found.append(symbols)
            except CorruptData as error:
                found.append(error)
    read = [result for result in found if not isinstance(result, CorruptData)]
    for result in found:
        if isinstance(result, CorruptData):
            assert not read
            raise result
    assert all(np.array_equal(read[0], other) for other in read[1:])
    return read[0]


CASES = {
    "seed": st.integers(0, 2**32 - 1),
    "words": st.integers(2, 300),
    "number": st.integers(0, 3000),
    "kind": st.sampled_from(["skewed", "uniform", "one-hot"]),
}


@settings(max_examples=60, deadline=None)
@given(**CASES)
@example(seed=1, words=4096, number=100_000, kind="skewed")
@example(seed=1, words=2, number=100_000, kind="one-hot")
def test_round_trip_and_size(seed, words, number, kind):
    random = np.random.default_rng(seed)
    counts = random_counts(random, 7, words, kind)
    tables = random.integers(7, size=number)
    symbols = draw(random, counts, tables)
    models = TableSet(counts)
    data = write([(symbols, tables, models)])
    assert np.array_equal(read_all(data, tables, models), symbols)
    ideal = (TOTAL_BITS - np.log2(counts[tables, symbols])).sum() / 8
    # Eight bytes for the end, and what 24-bit quotients of a 32-bit span lose.
    assert len(data) <= ideal * (1 + 2e-5) + 8
    assert len(data) % 4 == 0


@settings(max_examples=40, deadline=None)
@given(**CASES)
@example(seed=2, words=256, number=40_000, kind="skewed")
@example(seed=2, words=300, number=20_000, kind="uniform")
@example(seed=2, words=2, number=40_000, kind="one-hot")
def test_a_second_decoder_reads_the_same(seed, words, number, kind):
    random = np.random.default_rng(seed)
    first, second = (random_counts(random, 3, n, kind) for n in (words, 5))
    parts = []
    for counts in (first, second):
        tables = random.integers(3, size=number // 4)
        parts.append((draw(random, counts, tables), tables, TableSet(counts)))
    plain = RangeDecoder(write(parts))
    for symbols, tables, models in parts:
        # Table by table in ascending order, each in the order of its positions.
        for table in range(3):
            counts = models.counts[table].tolist()
            wanted = symbols[tables == table].tolist()
            assert [plain.symbol(counts) for _ in wanted] == wanted
    assert plain.rest == []
    plain.end()


def test_known_words():
    """Bytes written once and kept: the format depends on them."""
    counts = np.array([[TOTAL // 2, TOTAL // 4, TOTAL // 8, TOTAL // 8], [TOTAL - 3, 1, 1, 1]])
    symbols = np.array([0, 1, 2, 3, 0, 0, 3, 2, 1, 0, 1, 0])
    tables = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1])
    data = write([(symbols, tables, TableSet(counts))])
    assert data.hex() == "ffffcb5bf9ffdfe3"
    plain = RangeDecoder(data)
    order = np.argsort(tables, kind="stable")
    assert [plain.symbol(counts[tables[i]].tolist()) for i in order] == symbols[order].tolist()


def test_nothing_is_nothing():
    models = TableSet(counts_of(np.ones((1, 4))))
    none = np.empty(0, dtype=np.int64)
    assert write([]) == b""
    assert write([(none, none, models)]) == b""
    assert read_all(b"", none, models).tolist() == []


def test_runs_are_ascending_and_stable():
    for largest in (5, 70_000):
        tables = np.array([largest, 2, largest, 0, 2, 2])
        order, spans = runs(tables)
        found = [(table, order[start:end].tolist()) for table, start, end in spans]
        assert found == [(0, [3]), (2, [1, 4, 5]), (largest, [0, 2])]
    assert runs(np.empty(0, dtype=np.int64))[1] == []


@pytest.mark.parametrize(
    "counts",
    [
        np.array([[TOTAL - 1, 0, 1]]),
        np.array([[TOTAL - 1, 2]]),
        np.array([[TOTAL // 2, TOTAL // 2], [1, 1]]),
        np.array([TOTAL // 2, TOTAL // 2]),
    ],
)
def test_tables_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match=r"^every table must hold counts >= 1 that sum to 2\*\*24$"):
        TableSet(counts)


@pytest.fixture(scope="module")
def segment():
    """(bytes, symbols, tables, models) of 400 symbols from five skewed tables."""
    random = np.random.default_rng(3)
    counts = random_counts(random, 5, 40, "skewed")
    tables = random.integers(5, size=400)
    symbols = draw(random, counts, tables)
    models = TableSet(counts)
    return write([(symbols, tables, models)]), symbols, tables, models


def test_missing_or_added_words_are_found(segment):
    data, _, tables, models = segment
    for damaged in (
        data + bytes(4),
        data + b"\1\0\0\0",
        data + bytes(40),
        *(data[:end] for end in range(0, len(data), 4)),
    ):
        with pytest.raises(CorruptData):
            read_all(damaged, tables, models)


def test_the_coder_in_c_does_without_constriction(monkeypatch):
    monkeypatch.delattr("vqcodec.entropy.constriction_coder")
    monkeypatch.setitem(sys.modules, "vqcodec.entropy.constriction_coder", None)
    for name in ENGINES:
        with engine(name):
            if name == "native":
                SegmentReader(SegmentWriter().finish()).finish()
            else:
                with pytest.raises(ImportError):
                    SegmentWriter()


def test_half_a_word_is_found(segment):
    data, _, tables, models = segment
    for damaged in (data[:-1], data + b"\0", data + b"\0\0\0"):
        with pytest.raises(CorruptData, match=r"^segment is not a whole number of 32-bit words$"):
            read_all(damaged, tables, models)


def test_changed_bits_never_pass_for_the_same_symbols(segment):
    """A changed word may be the code of other symbols, which only a checksum finds; no odd error comes up."""
    data, symbols, tables, models = segment
    found = 0
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert not np.array_equal(read_all(bytes(damaged), tables, models), symbols)
        except CorruptData:
            found += 1
    assert found > len(data) * 4


@pytest.mark.parametrize("name", ENGINES)
def test_words_that_are_of_no_symbol_are_found_while_reading(name):
    models = TableSet(counts_of(np.ones((1, 4))))
    with engine(name), pytest.raises(CorruptData, match=r"^segment does not decode$"):
        SegmentReader(b"\xff" * 8).read(np.zeros(1, np.int64), models)


def test_too_few_and_too_many_symbols_are_found(segment):
    data, _, tables, models = segment
    for wrong in (tables[:-40], np.r_[tables, tables]):
        with pytest.raises(CorruptData):
            read_all(data, wrong, models)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_decode_or_are_corrupt(segment, data):
    _, _, tables, models = segment
    try:
        symbols = read_all(data, tables, models)
    except CorruptData:
        return
    assert symbols.min() >= 0
    assert symbols.max() < 40
    assert write([(symbols, tables, models)]) == data


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), groups=st.integers(1, 9), n=st.integers(0, 200), classes=st.integers(1, 7)
)
def test_groups_come_one_after_the_other(seed, groups, n, classes):
    """Symbols (n, G) are those of one long list of tables, group by group."""
    random = np.random.default_rng(seed)
    models = TableSet(random_counts(random, groups * classes, 30, "skewed"))
    of = random.integers(classes, size=(n, groups)).astype(np.int32)
    tables = (of + np.arange(groups) * classes).T.reshape(-1)
    symbols = draw(random, models.counts, tables)
    data = write([(symbols, tables, models)])
    grid = np.ascontiguousarray(symbols.reshape(groups, n).T)
    assert write([(grid, of, models)]) == data
    assert np.array_equal(read_all(data, of, models), grid)
    with pytest.raises(CorruptData):
        read_all(data + bytes(4), of, models)


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_no_class_or_symbol_is_refused(name):
    models = TableSet(counts_of(np.ones((4, 6))))
    good, no_class = np.array([0, 3]), r"^a class (or symbol )?is out of range$"
    with engine(name):
        for wrong in (
            np.array([6, 0]),
            np.array([-1, 0]),
            np.array([6, 0], np.int32),
            np.array([-1, 0], np.int32),
        ):
            with pytest.raises(IndexError, match=r"^a (class or )?symbol is out of range$"):
                SegmentWriter().write(wrong, good, models)
        for wrong in (
            np.array([0, 4]),
            np.array([0, -1]),
            np.array([0, 4], np.int32),
            np.array([0, -1], np.int32),
        ):
            with pytest.raises(IndexError, match=no_class):
                SegmentWriter().write(good, wrong, models)
            with pytest.raises(IndexError, match=no_class):
                SegmentReader(bytes(8)).read(wrong, models)
        for far in (2**31, 2**33):
            with pytest.raises(IndexError, match=r"^a class or symbol is out of range$"):
                SegmentWriter().write(np.array([0, far]), good, models)
            with pytest.raises(IndexError, match=r"^a class or symbol is out of range$"):
                SegmentReader(bytes(8)).read(np.array([far, 0]), models)
