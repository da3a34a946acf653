"""Shifts of the context classes: what they do, what they save, and that files can do without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import picture
from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.compress.search import BandSearch, ShiftSearch
from vqcodec.entropy.class_offsets import Shifts, shift_counts
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.tables import TOTAL
from vqcodec.entropy.tile_coder import SHIFTS, LatentCoder
from vqcodec.errors import CorruptData
from vqcodec.inspect.bit_report import count_bits
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.loaded import LoadedModel

LEVELS = (8, 3)
RIGHT = 3 * 3 + 1 + 3  # one class up in the first context number
DOWN = 3 * 3 + 1 - 1  # one down in the second


@pytest.fixture
def shifts() -> Shifts:
    return Shifts(shift_counts(LEVELS), LEVELS)


def test_the_table_of_shifts():
    counts = shift_counts(LEVELS)
    assert counts.shape == (7, 3)
    assert counts.sum() == TOTAL
    assert counts.min() >= 1
    assert counts.argmax() == 10
    assert counts[3, 1] > counts[2, 1] == counts[4, 1] > counts[1, 1]
    assert shift_counts((5,)).shape == (7,)
    assert shift_counts((5, 4, 3)).shape == (7, 3, 1)


def test_classes_move_and_stop_at_the_ends(shifts):
    assert shifts.still == 10
    classes = np.array([[[0, 4, 23], [7, 22, 5]]])  # (u0, u1): 00 11 72 / 21 71 12
    assert shifts.move(classes, np.full(3, shifts.still)) is classes
    moved = shifts.move(classes, np.array([RIGHT, DOWN, RIGHT]))
    assert moved.tolist() == [[[3, 3, 23], [10, 21, 8]]]
    assert shifts.moved.shape == (21, 24)
    assert shifts.moved.min() >= 0
    assert shifts.moved.max() < 24


def test_a_band_at_rest_takes_a_bit(shifts):
    written = [np.full(3, shifts.still), np.array([shifts.still, RIGHT]), np.full(1, shifts.still)]
    writer = SegmentWriter()
    shifts.write(writer, written)
    reader = SegmentReader(writer.finish())
    read = shifts.read(reader, [3, 2, 1])
    reader.finish()
    assert [numbers.tolist() for numbers in read] == [numbers.tolist() for numbers in written]
    assert shifts.bits(written[0]) == pytest.approx([1 / 3] * 3)
    price = -np.log2(shifts.table.counts[0][written[1]] / TOTAL)
    assert shifts.bits(written[1]) == pytest.approx(0.5 + price)


@pytest.mark.parametrize("counts", [shift_counts((8,)), np.full((2, 8), TOTAL // 16, np.int32)])
def test_tables_of_other_classes_are_refused(counts):
    with pytest.raises(ValueError, match="shifts"):
        Shifts(counts, LEVELS)


def test_shifts_follow_what_is_coded(shifts):
    """Symbols drawn from the tables of other classes than the prior says: the search finds these."""
    random = np.random.default_rng(2)
    groups, words, n = 3, 16, 4000
    spread = np.exp(0.35 * np.arange(8))[:, None] * np.array([0.8, 1.0, 1.25])
    weights = np.exp(-np.arange(words) / spread.reshape(-1, 1)) + 1e-4
    p = weights / weights.sum(1, keepdims=True)
    counts = np.floor(p * (TOTAL - words)).astype(np.int64) + 1
    counts[:, 0] += TOTAL - counts.sum(1)
    search = BandSearch(
        random.normal(size=(groups, words, 1)).round(2), np.tile(counts, (groups, 1)), 1.0, "cpu"
    )
    classes = random.integers(2, 6, (groups, n)) * 3 + 1
    true = np.stack([classes[0], classes[1] + 3 + 1, classes[2] - 6])
    index = np.array([[random.choice(words, p=p[c]) for c in row] for row in true])
    chosen = ShiftSearch(shifts, "cpu")(search, torch.from_numpy(index), torch.from_numpy(classes))
    places = [np.unravel_index(number, (7, 3)) for number in chosen]
    steps = [(int(first) - 3, int(second) - 1) for first, second in places]
    assert steps[0] == (0, 0)
    assert 3 * steps[1][0] + 2 * steps[1][1] > 3
    assert steps[2][0] == -2
    few = ShiftSearch(shifts, "cpu")(search, torch.from_numpy(index[:, :2]), torch.from_numpy(classes[:, :2]))
    assert few.tolist() == [shifts.still] * groups


@pytest.fixture(scope="module")
def striped() -> np.ndarray:
    """A picture unlike those that the tiny model was trained on."""
    x = np.zeros((192, 192, 3), np.uint8)
    x[:, ::5], x[::7] = 255, (255, 0, 90)
    return x


def test_shifts_save_bytes_and_change_no_pixel(tiny_codec, striped):
    tiny = tiny_codec
    data = tiny.compress(striped, quality=80)
    coder = tiny_codec.model.coder
    container = parse(data)
    segments, header = [s for s in container.segments[0] if s is not None], container.header
    where = {"shape": (12, 12), "level": header.level}
    seen: dict[tuple[int | None, int], np.ndarray] = {}
    latent = coder.decode(segments, **where, observe=lambda p, n, index, _: seen.__setitem__((p, n), index))
    assert any((seen[SHIFTS, n] != coder.shifts.still).any() for n in range(len(coder.bands)))
    z_index = [seen[None, 0].transpose(1, 2, 0)]
    chosen = [[seen[p, n].transpose(1, 2, 0) for n in range(len(coder.bands))] for p in range(7)]
    without, same = coder.encode(z_index, **where, choose=lambda p, piece, *_: chosen[p][piece.bands])
    assert np.array_equal(same, latent)
    assert sum(map(len, segments)) < 0.995 * sum(map(len, without))
    assert np.array_equal(coder.decode(without, **where), latent)
    report, _ = count_bits(tiny, data)
    assert report.bits == pytest.approx(8 * sum(map(len, segments)), rel=0.02, abs=130)


def test_models_without_shifts_stay_readable(tiny_weights):
    weights = load_weights(tiny_weights)
    arrays = {n: a for n, a in weights.coding.items() if n != "y.shifts"}
    old, new = LatentCoder(arrays), LatentCoder(weights.coding)
    assert old.shifts is None
    codec = Codec.of(LoadedModel.of(weights))
    segments = codec.encode(picture(64, 64), 120, 0).segments[0]
    with pytest.raises(CorruptData):
        old.decode(segments, (4, 4), 120)
    assert new.decode(segments, (4, 4), 120).any()
