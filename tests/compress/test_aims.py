"""Sizes and PSNRs that are asked for, of pictures with drawn parts: few encodes, and what people expect."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import vqcodec
from tests.compress.test_drawn_blocks import photographs
from tests.drawings import mixed, page
from tests.tiny import picture
from vqcodec.compress.tile_encoder import TileEncoder
from vqcodec.errors import TargetTooHigh, TargetTooSmall
from vqcodec.metrics.rate_distortion import psnr


@pytest.fixture
def encodes(monkeypatch):
    """The levels that the networks code at."""
    levels: list[int] = []
    encode = TileEncoder.encode

    def counted(self, pixels, level, *more):
        levels.append(level)
        return encode(self, pixels, level, *more)

    monkeypatch.setattr(TileEncoder, "encode", counted)
    return levels


@pytest.fixture(scope="module")
def codec():
    """The packaged model."""
    return vqcodec.load(device="cpu")


@pytest.fixture(scope="module")
def beside():
    """A photograph beside text, and where that is."""
    photograph = next(photographs())[100:228, 100:228]
    drawn = np.repeat([False, True], 128) & np.ones((128, 1), bool)
    return np.hstack([photograph, page(128, 128)]), drawn


def value(codec, pixels, data):
    return psnr(pixels, np.asarray(codec.decompress(data)))


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("tile", [0, 128])
def test_few_encodes_find_a_size(codec, beside, encodes, share, tile):
    pixels, drawn = beside
    ready = codec.prepare(pixels)
    low, high = (len(codec.compress(ready, quality=quality, tile=tile)) for quality in (0, 90))
    most = round(low + share * (high - low))
    encodes.clear()
    data = codec.compress(ready, target_size=most, tile=tile)
    assert len(encodes) <= 10
    assert most - 0.05 * (high - low) <= len(data) <= most
    assert np.array_equal(np.asarray(codec.decompress(data))[drawn], pixels[drawn])
    # As many bits per pixel are the same aim.
    assert codec.compress(ready, bpp=(8 * most + 0.5) / drawn.size, tile=tile) == data


def test_few_encodes_find_a_psnr(codec, beside, encodes):
    pixels, _ = beside
    ready = codec.prepare(pixels)
    low, high = (value(codec, pixels, codec.compress(ready, quality=quality)) for quality in (0, 90))
    least = (low + high) / 2
    encodes.clear()
    data = codec.compress(ready, psnr=least)
    assert len(encodes) <= 10
    assert least <= value(codec, pixels, data) < least + 0.3


def test_more_bytes_are_never_worse(tiny_codec):
    pixels, _ = mixed(96, 128)
    ready = tiny_codec.prepare(pixels)
    lossless = len(tiny_codec.compress(ready, lossless=True))
    sizes = np.geomspace(300, lossless, 14).astype(int)
    found: list[float] = []
    for most in sizes:
        try:
            data = tiny_codec.compress(ready, target_size=int(most))
        except TargetTooSmall:
            assert not found
            continue
        assert len(data) <= most
        found.append(value(tiny_codec, pixels, data))
    assert len(found) > 8
    assert all(a <= b + 0.1 for a, b in itertools.pairwise(found))
    assert found[-1] == math.inf


def test_too_few_bytes_for_the_text_take_it_with_loss(tiny_codec):
    pixels, drawn = mixed()
    smallest = len(tiny_codec.compress(pixels, quality=0))
    data = tiny_codec.compress(pixels, target_size=smallest - 100)
    assert len(data) <= smallest - 100
    assert not np.array_equal(np.asarray(tiny_codec.decompress(data))[drawn], pixels[drawn])


def test_a_psnr_beyond_the_dial_is_reached_all_the_same(tiny_codec):
    for pixels, quality in ((picture(64, 64), 100), (mixed()[0], 80)):
        ready = tiny_codec.prepare(pixels)
        best = value(tiny_codec, pixels, tiny_codec.compress(ready, quality=quality))
        exact = tiny_codec.compress(ready, lossless=True)
        sizes = []
        for least in (best + 0.5, best + 3, 99):
            data = tiny_codec.compress(ready, psnr=least)
            assert value(tiny_codec, pixels, data) >= least
            sizes.append(len(data))
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1] == len(exact)
        with pytest.raises(TargetTooHigh, match=r"quality 100 reaches .* less than the 99 asked for"):
            tiny_codec.compress(ready, psnr=99, drawn=False)


def test_a_psnr_of_a_page_may_be_of_a_lossy_file(tiny_codec):
    soft = (page().astype(int) // 2 + np.random.default_rng(0).integers(0, 60, (96, 160, 1))).astype(np.uint8)
    for least in (20, 30, 45):
        assert value(tiny_codec, soft, tiny_codec.compress(soft, psnr=least)) >= least
