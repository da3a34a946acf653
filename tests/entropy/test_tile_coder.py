"""Tiles of the golden files: segments to latents and back, by the coder of each engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.entropy.engines import ENGINES, engine
from tests.make_golden import WEIGHTS
from vqcodec.bitstream import parse
from vqcodec.entropy.coding_order import PASSES, PassState, Slice
from vqcodec.entropy.integer_prior import COMPANDED_MAX, LATENT_MAX, IntegerPrior
from vqcodec.entropy.native_prior import NativePrior
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.entropy.tile_coder import (
    GUESSED_SLICES,
    CodedSlice,
    LatentCoder,
    hyper_classes,
    prior_level_of,
)
from vqcodec.errors import CorruptData
from vqcodec.tiling import tiles
from vqcodec.weights.checkpoint import load_weights

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def arrays():
    return load_weights(GOLDEN / WEIGHTS).coding


@pytest.fixture(params=ENGINES)
def coder(request, arrays):
    with engine(request.param):
        yield LatentCoder(arrays)


def golden(name):
    """(segments, latent) of each tile of a golden file, and its level."""
    container = parse((GOLDEN / f"{name}.vqc").read_bytes())
    latent, tile = np.load(GOLDEN / f"{name}.latent.npy"), container.header.tile
    parts = [latent[place] for place in tiles(latent.shape[0], latent.shape[1], tile)]
    return list(zip(container.segments, parts, strict=True)), container.header.level


def walked(coder, segments, shape, level):
    """(z_index, offsets, [(slice, mean)], latent) of a tile, of which only the layers given are read."""
    readers = [SegmentReader(segment) for segment in segments]
    z_index, offsets = coder.read_side(readers[0], shape, level)
    walk, parts = coder.walk(z_index, shape, level), []
    for part, mean in walk:
        if part.place.layer < len(readers):
            bands = coder.bands_of(part, offsets)
            part.index = [band.read(readers[part.place.layer], *given) for band, *given in bands]
        assert (mean.dtype, part.classes.dtype) == (np.int32, np.int32)
        parts.append((part, mean.copy()))
    return z_index, offsets, parts, walk.latent


@pytest.mark.parametrize("name", ["whole", "coarse", "dot"])
def test_golden_tiles_are_read_and_written_again(coder, name):
    found, level = golden(name)
    for segments, latent in found:
        shape = latent.shape[:2]
        decoded = coder.decode(segments, shape, level)
        assert decoded.dtype == np.int32
        assert np.array_equal(decoded, latent)
        z_index, offsets, parts, again = walked(coder, segments, shape, level)
        assert np.array_equal(again, latent)
        assert coder.write(z_index, offsets, [part for part, _ in parts], level) == list(segments)


def test_without_the_second_layer_means_remain_of_the_first_slices(coder):
    ((segments, latent),), level = golden("whole")
    shape = latent.shape[:2]
    coarse = coder.decode([segments[0], None], shape, level)
    parts, again = walked(coder, segments[:1], shape, level)[2:]
    last = coder.prior.slices[GUESSED_SLICES - 1].channels.stop
    assert 0 < last < coarse.shape[2]
    assert np.array_equal(coarse[:, :, :last], again[:, :, :last])
    assert np.array_equal(coarse[::2, ::2], latent[::2, ::2])
    for part, mean in parts:
        if part.place.layer:
            found = coarse[part.place.places][:, :, part.piece.channels]
            assert np.array_equal(found, mean if part.piece.channels.stop <= last else np.zeros_like(mean))
    assert np.abs(coarse[1::2, 1::2]).max() > 0


def test_without_the_first_layer_nothing_remains(coder):
    ((segments, latent),), level = golden("whole")
    for given in ([None, None], [None, segments[1]]):
        nothing = coder.decode(given, latent.shape[:2], level)
        assert nothing.dtype == np.int32
        assert nothing.shape == latent.shape
        assert not nothing.any()


@pytest.mark.parametrize("layer", [0, 1])
def test_a_word_too_many_is_corrupt_in_either_layer(coder, layer):
    ((segments, latent),), level = golden("whole")
    longer = list(segments)
    longer[layer] += bytes(4)
    with pytest.raises(CorruptData, match=r"^segment is not what its symbols encode to$"):
        coder.decode(longer, latent.shape[:2], level)


def test_indices_of_any_integer_type_are_settled(coder):
    ((segments, latent),), level = golden("whole")
    z_index, _, parts, _ = walked(coder, segments, latent.shape[:2], level)
    walk = coder.walk(z_index, latent.shape[:2], level)
    for (part, _), (known, _) in zip(walk, parts, strict=True):
        part.index = [own.astype(np.int64) for own in known.index]
    assert np.array_equal(walk.latent, latent)


@pytest.mark.parametrize("sign", [1, -1])
def test_latents_end_at_the_bounds_on_either_side(coder, sign):
    ((segments, latent),), level = golden("whole")
    z_index, _ = coder.read_side(SegmentReader(segments[0]), latent.shape[:2], level)
    walk = coder.walk(z_index, latent.shape[:2], level)
    for _, mean in walk:
        mean[:] = sign * (LATENT_MAX + 1)
    assert (walk.latent == sign * LATENT_MAX).all()


def test_codewords_of_the_bands_of_a_slice_lie_side_by_side(arrays, monkeypatch):
    with engine("torch"):
        coder = LatentCoder(arrays)
    learnt = []
    monkeypatch.setattr(coder.prior, "learn", lambda _, known: learnt.append(known))
    index = [np.full((2, 3, band.groups), i) for i, band in enumerate(coder.bands)]
    classes = np.zeros((2, 3, sum(band.groups for band in coder.bands)), np.int32)
    groups = slice(0, classes.shape[2])
    piece = Slice(slice(0, len(coder.bands)), slice(0, coder.channels), groups)
    latent = np.empty((2, 3, coder.channels), np.int32)
    state = PassState(PASSES[0], np.zeros_like(latent), None)
    coder.settle(CodedSlice(PASSES[0], piece, classes, index), state, np.ones_like(latent), latent)
    for i, band in enumerate(coder.bands):
        own = band.codewords[:, i].T.reshape(-1)
        assert (learnt[0][:, :, band.within(piece)[0]] == own).all()
        assert (latent[:, :, band.within(piece)[0]] == own + 1).all()


def test_what_is_not_of_every_band_is_not_written(coder):
    ((segments, latent),), level = golden("whole")
    z_index, offsets, walk, _ = walked(coder, segments, latent.shape[:2], level)
    parts = [part for part, _ in walk]
    with pytest.raises(ValueError, match="zip"):
        coder.write([], offsets, parts, level)
    with pytest.raises(ValueError, match="zip"):
        list(coder.bands_of(parts[-1], offsets[:-1]))
    parts[-1].index = None
    with pytest.raises(ValueError, match="zip"):
        coder.write(z_index, offsets, parts, level)


@pytest.mark.parametrize(("name", "limit"), [("y.words.0", LATENT_MAX), ("z.words.0", COMPANDED_MAX)])
def test_codewords_within_the_bounds_are_taken_and_others_refused(arrays, name, limit):
    for sign in (1, -1):
        words = arrays[name].astype(np.int32)
        words[-1, -1, -1] = sign * limit
        LatentCoder(arrays | {name: words})
        words[-1, -1, -1] += sign
        with pytest.raises(ValueError, match=r"^codewords break the bounds of exact arithmetic$"):
            LatentCoder(arrays | {name: words})


def test_each_engine_has_its_prior_and_products_are_the_callers(arrays):
    products = []

    def product(a, b):
        products.append((a.dtype, b.dtype))
        return a @ b

    ((segments, latent),), level = golden("dot")
    for name in ENGINES:
        with engine(name):
            coder = LatentCoder(arrays, product)
            assert isinstance(coder.prior, NativePrior if name == "native" else IntegerPrior)
            assert coder.channels == latent.shape[2]
            assert np.array_equal(coder.decode(segments, (1, 1), level), latent)
    assert set(products) == {(np.dtype(np.float32), np.dtype(np.float32))}


def test_levels_of_the_prior_and_of_the_hyper_latents_tables(arrays):
    levels = [0, 1, 2, 125, 126, 127, 250, 251, 252]
    assert [prior_level_of(level) for level in levels] == [0, 0, 1, 32, 32, 32, 63, 64, 64]
    (band,) = LatentCoder(arrays).hyper_bands
    for level, number in ((0, 0), (15, 0), (16, 1), (252, 15)):
        classes = hyper_classes(band, (2, 3), level)
        assert classes.dtype == np.int32
        assert classes.shape == (2, 3, band.groups)
        assert (classes == number).all()
