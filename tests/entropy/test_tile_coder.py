"""Tiles of the golden files: segments to latents and back, by the coder of each engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.entropy.engines import ENGINES, engine
from tests.make_golden import WEIGHTS
from vqcodec.bitstream import parse
from vqcodec.entropy.integer_prior import COMPANDED_MAX, LATENT_MAX, IntegerPrior
from vqcodec.entropy.native_prior import NativePrior
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.entropy.tile_coder import LatentCoder, hyper_classes, prior_level_of
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


def test_without_the_second_layer_its_means_remain(coder):
    ((segments, latent),), level = golden("whole")
    shape = latent.shape[:2]
    coarse = coder.decode([segments[0], None], shape, level)
    parts, again = walked(coder, segments[:1], shape, level)[2:]
    assert np.array_equal(coarse, again)
    assert np.array_equal(coarse[::2, ::2], latent[::2, ::2])
    for part, mean in parts:
        if part.place.layer:
            assert np.array_equal(coarse[part.place.places][:, :, part.piece.channels], mean)
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
        products.append(a.shape)
        return a @ b

    ((segments, latent),), level = golden("dot")
    for name in ENGINES:
        with engine(name):
            coder = LatentCoder(arrays, product)
            assert isinstance(coder.prior, NativePrior if name == "native" else IntegerPrior)
            assert coder.channels == latent.shape[2]
            assert np.array_equal(coder.decode(segments, (1, 1), level), latent)
    assert products


def test_levels_of_the_prior_and_of_the_hyper_latents_tables(arrays):
    levels = [0, 1, 2, 125, 126, 127, 250, 251, 252]
    assert [prior_level_of(level) for level in levels] == [0, 0, 1, 32, 32, 32, 63, 64, 64]
    (band,) = LatentCoder(arrays).hyper_bands
    for level, number in ((0, 0), (15, 0), (16, 1), (252, 15)):
        classes = hyper_classes(band, (2, 3), level)
        assert classes.dtype == np.int32
        assert classes.shape == (2, 3, band.groups)
        assert (classes == number).all()
