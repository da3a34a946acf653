"""A band by hand: which channels a codeword fills, and what an index costs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.entropy.engines import ENGINES, engine
from vqcodec.entropy.codebooks import CodedBand, read_bands
from vqcodec.entropy.coding_order import Slice
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.steps import SLOPE, greedy_slope
from vqcodec.entropy.table_set import RowTables
from vqcodec.entropy.tables import TOTAL, counts_from_codes, make_powers

ROWS = np.array([[[0, 20, 40], [9, 0, 30], [0, 255, 255]], [[255, 0, 255], [60, 10, 0], [5, 5, 0]]], np.uint8)
"""Codes of 3 codewords in 3 classes of 2 groups; class 2 of the first and 0 of the second are certain."""
MOVES = np.array([[1, 0, 0], [2, 2, 1]], np.int32)


def band(channel: int = 0, group: int = 0) -> CodedBand:
    words = np.arange(12, dtype=np.int32).reshape(2, 3, 2)
    return CodedBand(words, RowTables(ROWS, (3,), make_powers()), 3, channel, group)


def test_a_codeword_fills_every_second_channel_of_two_groups():
    found = band().look_up(np.array([[[0, 2]], [[1, 0]]]))
    assert found.tolist() == [[[0, 10, 1, 11]], [[2, 6, 3, 7]]]
    assert [band(channel=5).channels_of(g) for g in range(2)] == [(5, 7), (6, 8)]


def test_a_band_is_found_within_its_slice():
    piece = Slice(slice(1, 3), slice(4, 12), slice(2, 6))
    assert band(channel=8, group=4).within(piece) == (slice(4, 8), slice(2, 4))
    assert band(channel=4, group=2).within(piece) == (slice(0, 4), slice(0, 2))


def test_bits_are_those_of_the_moved_class_and_none_where_the_class_is_certain():
    index, classes = np.array([[[1, 0], [0, 1]]]), np.array([[[0, 1], [2, 0]]])
    counts = counts_from_codes(ROWS, make_powers())
    assert band().certain(classes).tolist() == [[[-1, -1], [0, 1]]]

    def price(group: int, number: int, word: int) -> float:
        return float(-np.log2(counts[group, number, word] / TOTAL))

    plain = [[[price(0, 0, 1), price(1, 1, 0)], [price(0, 2, 0), price(1, 0, 1)]]]
    assert band().bits(index, classes) == pytest.approx(np.array(plain), rel=1e-9)
    assert (band().bits(index, classes) > 0).all()
    moved = band().bits(index, classes, MOVES)
    assert moved == pytest.approx(np.array([[[price(0, 1, 1), price(1, 2, 0)], [0, 0]]]), rel=1e-9)


@pytest.mark.parametrize("name", ENGINES)
def test_a_band_that_was_not_used_before_reads_what_another_wrote(name):
    random = np.random.default_rng(0)
    index, classes = random.integers(3, size=(4, 5, 2)), random.integers(3, size=(4, 5, 2))
    only = band().certain(classes)
    index = np.where(only < 0, index, only)
    with engine(name):
        for moves in (None, MOVES):
            writer = SegmentWriter()
            band().write(writer, index, classes, moves)
            reader = SegmentReader(writer.finish())
            assert np.array_equal(band().read(reader, classes, moves), index)
            reader.finish()


def test_bands_follow_one_another_and_have_tables_of_their_codewords():
    words = [np.arange(6).reshape(1, 3, 2), np.arange(6).reshape(2, 3, 1), np.arange(12).reshape(2, 3, 2)]
    arrays: dict[str, np.ndarray] = {f"y.words.{i}": own.astype(np.int16) for i, own in enumerate(words)}
    arrays |= {f"y.tables.{i}": ROWS[: len(own)] for i, own in enumerate(words)}
    arrays |= {"z.words.0": words[0], "powers": make_powers()}
    bands = read_bands(arrays, "y", (3,))
    assert [(b.channel, b.group, b.classes) for b in bands] == [(0, 0, 3), (2, 1, 3), (4, 3, 3)]
    for found, own in zip(bands, words, strict=True):
        assert found.codewords.dtype == np.int32
        assert np.array_equal(found.codewords, own)
    assert np.array_equal(bands[2].tables.counts, counts_from_codes(ROWS, make_powers()).reshape(6, 3))
    for wrong in (ROWS[0], ROWS[:, :, :2], ROWS[:1]):
        with pytest.raises(ValueError, match=r"^the tables do not fit the codewords$"):
            read_bands(arrays | {"y.tables.1": wrong}, "y", (3,))


def test_small_groups_pay_more_for_errors():
    assert [greedy_slope(size) for size in (1, 2, 4)] == [9.0, 7.2, SLOPE]
