"""Class offsets: what they do, what they cost and save, and which of them the encoder chooses."""

from __future__ import annotations

import numpy as np
import pytest

from tests.entropy.engines import ENGINES
from vqcodec.bitstream import parse
from vqcodec.compress.codeword_search import BandSearch, OffsetSearch
from vqcodec.entropy.class_offsets import ClassOffsets, offset_counts
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.table_set import RowTables
from vqcodec.entropy.tables import TOTAL, encode_probabilities, make_powers
from vqcodec.inspect.bit_report import count_bits

LEVELS = (8, 3)
RIGHT = 3 * 3 + 1 + 3  # one class up in the first context number
DOWN = 3 * 3 + 1 - 1  # one down in the second


@pytest.fixture
def offsets() -> ClassOffsets:
    return ClassOffsets(offset_counts(LEVELS), LEVELS)


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch) -> None:
    monkeypatch.setenv("VQCODEC_ENGINE", request.param)


def tables_of(p: np.ndarray, groups: int) -> RowTables:
    """Tables of all classes with probabilities (classes, K), alike for all groups."""
    rows = np.tile(encode_probabilities(p), (groups, 1, 1))
    return RowTables(rows, (len(p),), make_powers())


def test_the_table_of_offsets():
    counts = offset_counts(LEVELS)
    assert counts.shape == (7, 3)
    assert counts.dtype == np.int32
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    assert counts.argmax() == 10
    assert counts[3, 1] > counts[2, 1] == counts[4, 1] > counts[1, 1]
    assert offset_counts((5,)).shape == (7,)
    assert offset_counts((5, 4, 3)).shape == (7, 3, 1)


def test_classes_move_and_stop_at_the_ends(offsets):
    assert offsets.zero == 10
    classes = np.array([[[0, 4, 23], [7, 22, 5]]])  # (u0, u1): 00 11 72 / 21 71 12
    assert (offsets.moves(np.full(3, offsets.zero)) == np.arange(24)).all()
    moves = offsets.moves(np.array([RIGHT, DOWN, RIGHT]))
    moved = moves[np.arange(3), classes]
    assert moved.tolist() == [[[3, 3, 23], [10, 21, 8]]]
    assert offsets.moved.shape == (21, 24)
    assert offsets.moved.min() >= 0
    assert offsets.moved.max() < 24


def test_a_band_at_rest_takes_a_bit(offsets):
    written = [np.full(3, offsets.zero), np.array([offsets.zero, RIGHT]), np.full(1, offsets.zero)]
    writer = SegmentWriter()
    offsets.write(writer, written)
    reader = SegmentReader(writer.finish())
    read = offsets.read(reader, [3, 2, 1])
    reader.finish()
    assert [numbers.tolist() for numbers in read] == [numbers.tolist() for numbers in written]
    assert offsets.bits(written[0]) == pytest.approx([1 / 3] * 3)
    price = -np.log2(offsets.table.counts[0][written[1]] / TOTAL)
    assert offsets.bits(written[1]) == pytest.approx(0.5 + price)


@pytest.mark.parametrize("counts", [offset_counts((8,)), np.full((2, 8), TOTAL // 16, np.int32)])
def test_tables_of_other_classes_are_refused(counts):
    with pytest.raises(ValueError, match=r"^the table of class offsets does not fit the context classes$"):
        ClassOffsets(counts, LEVELS)


def test_offsets_follow_what_is_coded(offsets, engine):
    """Symbols drawn from the tables of other classes than the prior says: the search finds these."""
    random = np.random.default_rng(2)
    groups, words, n = 3, 16, 4000
    spread = np.exp(0.35 * np.arange(8))[:, None] * np.array([0.8, 1.0, 1.25])
    weights = np.exp(-np.arange(words) / spread.reshape(-1, 1)) + 1e-4
    p = weights / weights.sum(1, keepdims=True)
    search = BandSearch(random.normal(size=(groups, words, 1)).round(2), tables_of(p, groups), 1.0)
    classes = random.integers(2, 6, (groups, n)) * 3 + 1
    true = np.stack([classes[0], classes[1] + 3 + 1, classes[2] - 6])
    index = np.array([[random.choice(words, p=p[c]) for c in row] for row in true])
    index, classes = (x.T.astype(np.int32) for x in (index, classes))
    chosen = OffsetSearch(offsets)(search, index, classes)
    places = [np.unravel_index(number, (7, 3)) for number in chosen]
    steps = [(int(first) - 3, int(second) - 1) for first, second in places]
    assert steps[0] == (0, 0)
    assert 3 * steps[1][0] + 2 * steps[1][1] > 3
    assert steps[2][0] == -2
    few = OffsetSearch(offsets)(search, index[:2], classes[:2])
    assert few.tolist() == [offsets.zero] * groups


@pytest.mark.parametrize("seed", range(8))
def test_the_search_counts_what_offsets_cost(offsets, engine, seed):
    """Groups of few symbols, where some offsets save less than they cost, against a search by hand."""
    random = np.random.default_rng(seed)
    groups, size, n = 8, 8, 12
    weights = random.random((24, size)) ** 3 + 0.02
    tables = tables_of(weights / weights.sum(1, keepdims=True), groups)
    search = BandSearch(np.zeros((groups, size, 1)), tables, 1.0)
    classes, index = random.integers(24, size=(groups, n)), random.integers(size, size=(groups, n))
    nats = -np.log(tables.counts[:24] / TOTAL)

    def saving(group: int, number: int, own: bool) -> float:
        moved = offsets.moved[number, classes[group]]
        price = nats[moved, index[group]].sum() - nats[classes[group], index[group]].sum()
        return -price + own * float(np.log(offsets.table.counts[0, number] / TOTAL))

    def best(group: int, own: bool) -> int:
        first = max(range(7), key=lambda step: saving(group, 3 * step + 1, own))
        return max(range(3 * first, 3 * first + 3), key=lambda number: saving(group, number, own))

    wanted = [best(group, True) for group in range(groups)]
    assert wanted != [best(group, False) for group in range(groups)]
    if sum(saving(group, number, True) for group, number in enumerate(wanted)) <= 0:
        wanted = [offsets.zero] * groups
    chosen = OffsetSearch(offsets)(search, index.T.astype(np.int32), classes.T.astype(np.int32))
    assert chosen.tolist() == wanted


@pytest.fixture(scope="module")
def striped() -> np.ndarray:
    """A picture unlike those that the tiny model was trained on."""
    x = np.zeros((192, 192, 3), np.uint8)
    x[:, ::5], x[::7] = 255, (255, 0, 90)
    return x


def test_offsets_save_bytes_and_change_no_pixel(tiny_codec, striped):
    tiny = tiny_codec
    data = tiny.compress(striped, quality=80, drawn=False)
    coder = tiny_codec.model.coder
    container = parse(data)
    segments, level = [s for s in container.segments[0] if s is not None], container.header.level
    reader = SegmentReader(segments[0])
    z_index, offsets = coder.read_side(reader, (12, 12), level)
    assert any((numbers != coder.offsets.zero).any() for numbers in offsets)
    readers, parts = (reader, SegmentReader(segments[1])), []
    walk = coder.walk(z_index, (12, 12), level)
    for part, _ in walk:
        bands = coder.bands_of(part, offsets)
        part.index = [band.read(readers[part.place.layer], *given) for band, *given in bands]
        parts.append(part)
    assert coder.write(z_index, offsets, parts, level) == segments
    without = coder.write(z_index, [np.full(len(o), coder.offsets.zero) for o in offsets], parts, level)
    assert sum(map(len, segments)) < 0.995 * sum(map(len, without))
    assert np.array_equal(coder.decode(without, (12, 12), level), walk.latent)
    report, _ = count_bits(tiny, data)
    assert report.bits == pytest.approx(8 * sum(map(len, segments)), rel=0.02, abs=130)
