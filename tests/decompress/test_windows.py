"""Big pictures by windows: pieces and halos fit, and pixels are those of the whole picture at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vqcodec
from tests.tiny import picture
from vqcodec.compress import tile_encoder
from vqcodec.compress.source import PaddedPixels
from vqcodec.decompress import tile_decoder
from vqcodec.decompress.latent_grid import LatentGrid
from vqcodec.engine.analysis import Analysis
from vqcodec.errors import CorruptData
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.tiling import BLOCK, TRANSFORM_HALO, Window, overlap, scaled, tiles, windows


@pytest.mark.parametrize(
    ("shape", "side", "align"),
    [((1, 40), 8, 1), ((40, 41), (8, 12), 4), ((64, 65), 64, 8), ((5, 313), 24, 4), ((36, 31), 24, 4)],
)
def test_windows_cover_everything_once(shape, side, align):
    seen = np.zeros(shape, int)
    numbers = np.arange(seen.size).reshape(shape)
    sides = (side, side) if isinstance(side, int) else side
    for window in windows(shape, side, halo=3, align=align):
        seen[window.inner] += 1
        for inner, outer, most, count in zip(window.inner, window.outer, sides, shape, strict=True):
            assert 0 < inner.stop - inner.start <= most
            assert inner.start % align == 0
            assert outer == slice(max(inner.start - 3, 0), min(inner.stop + 3, count))
        assert np.array_equal(window.crop(numbers[window.outer]), numbers[window.inner])
        large = np.kron(numbers, np.ones((2, 2), int))
        assert np.array_equal(
            window.scaled(2).crop(large[window.scaled(2).outer]), large[window.scaled(2).inner]
        )
    assert (seen == 1).all()
    with pytest.raises(ValueError, match="multiples of 9"):
        windows((10, 10), 8, align=9)


def test_windows_of_a_span_reach_beyond_it():
    span = slice(3, 9), slice(0, 4)
    found = windows((12, 10), 3, halo=2, span=span)
    assert [window.inner for window in found] == [
        (rows, columns)
        for rows in (slice(3, 6), slice(6, 9))
        for columns in (slice(0, 2), slice(2, 4))
    ]  # fmt: skip
    assert found[-1].outer == (slice(4, 11), slice(0, 6))
    assert found[-1].clipped((slice(0, 8), slice(0, 99))).inner == (slice(6, 8), slice(2, 4))


def test_narrowed_windows_keep_their_inner_part_and_end_where_the_wider_end():
    window = Window((slice(1, 20), slice(30, 40)), (slice(0, 32), slice(18, 45)))
    assert window.narrowed(3) == Window(window.inner, (slice(0, 23), slice(27, 43)))
    assert window.narrowed(99) == window
    assert Window.of((7, 9, 3)).narrowed(0) == Window((slice(0, 7), slice(0, 9)), (slice(0, 7), slice(0, 9)))


@pytest.mark.parametrize("corner", [(13, 12), (0, 14), (15, 25)])
def test_stages_of_the_default_model_leave_out_nothing_that_counts(corner):
    """The inner part of a window is that of the whole, also where the picture ends beside it."""
    model = vqcodec.load().model
    top, left = corner
    inner = slice(top, top + 2), slice(left, left + 2)
    outer = tuple(slice(max(i.start - TRANSFORM_HALO, 0), min(i.stop + TRANSFORM_HALO, 27)) for i in inner)
    window, random = Window(inner, (outer[0], outer[1])), np.random.default_rng(0)
    y = random.normal(0, 200, (27, 27, model.coder.channels)).astype(np.float32).round()
    assert np.array_equal(
        model.g_s(y[window.outer], 130, window), model.g_s(y, 130)[scaled(window.inner, BLOCK)]
    )
    pixels = random.integers(0, 256, (27 * BLOCK, 27 * BLOCK, 3), dtype=np.uint8)
    part = np.ascontiguousarray(pixels[scaled(window.outer, BLOCK)])
    assert np.array_equal(model.g_a(part, 130, window), model.g_a(pixels, 130)[window.inner])


@pytest.mark.parametrize("size", [(200, 130), (65, 95), (16, 17), (3, 5)])
def test_parts_are_padded_as_the_whole_is(size):
    source = PaddedPixels(picture(size[0], size[1], seed=1))
    rows, columns = source.shape
    for i in range(rows):
        for j in range(columns):
            part = source.window((slice(i, rows), slice(j, j + 1)))
            whole = source.window((slice(0, rows), slice(0, columns)))
            assert np.array_equal(part, whole[BLOCK * i :, BLOCK * j : BLOCK * j + BLOCK])
    assert source.pixels.shape == (*size, 3)  # no second copy of a big picture


def test_overlap():
    a, b, c = slice(2, 5), slice(4, 9), slice(5, 9)
    assert overlap((a, a), (b, a)) == (slice(4, 5), a)
    assert overlap((a, a), (a, c)) is None
    assert overlap((c, a), (a, a)) is None


def test_the_halo_is_as_wide_as_the_default_model_sees():
    """Changing a pixel, or a latent, moves nothing further away than the halo."""
    torch.manual_seed(0)
    model = VQVAE(ModelConfig()).eval()
    side, level = 2 * TRANSFORM_HALO + 3, torch.tensor([0.5])
    middle = side // 2
    with torch.inference_mode():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.add_(0.02 * torch.randn_like(parameter))
        y = torch.randn(1, model.config.channels, side, side)
        other = y.clone()
        other[:, :, middle, middle] += 10
        moved = (model.g_s(y, level) != model.g_s(other, level)).any(1)[0]
        far = [int(index.max()) // 16 for index in torch.nonzero(moved, as_tuple=True)]
        assert max(far) - middle <= TRANSFORM_HALO
        x = torch.rand(1, 3, 16 * side, 16 * side)
        other = x.clone()
        other[:, :, 16 * middle : 16 * middle + 16, 16 * middle : 16 * middle + 16] = 0
        moved = (model.analyse(x, level) != model.analyse(other, level)).any(1)[0]
        assert max(int(i.max()) for i in torch.nonzero(moved, as_tuple=True)) - middle <= TRANSFORM_HALO


@pytest.mark.parametrize("tile", [0, 64, 128, 192])
@pytest.mark.slow
def test_windows_give_what_the_whole_gives(tiny_codec, monkeypatch, tile):
    pixels = picture(36 * 16 - 5, 27 * 16 - 9, seed=2)
    place = {"width": pixels.shape[1], "height": pixels.shape[0], "level": 120, "tile": tile}
    encoded = tiny_codec.encode(pixels, 120, tile)
    whole = encoded.segments
    seen = tiny_codec.decode(whole, **place)
    monkeypatch.setattr(tile_encoder, "TRANSFORM_SIDE", 8)
    monkeypatch.setattr(tile_decoder, "TRANSFORM_SIDE", 8)
    sizes = []
    analyse = Analysis.__call__

    def watch(self, x, level, window):
        sizes.append(max(x.shape[:2]) // 16)
        return analyse(self, x, level, window)

    monkeypatch.setattr(Analysis, "__call__", watch)
    in_pieces = tiny_codec.encode(pixels, 120, tile)
    assert in_pieces.segments == whole
    assert in_pieces.error == pytest.approx(encoded.error)  # of other sums
    assert max(sizes) <= 8 + 2 * TRANSFORM_HALO < 36  # tiles larger than a window are analysed by windows too
    assert np.array_equal(tiny_codec.decode(whole, **place), seen)


def test_tiles_are_decoded_once_and_forgotten_when_passed(tiny_codec):
    pixels = picture(320, 192, seed=4)
    segments = tiny_codec.encode(pixels, 80, 64).segments
    whole = tiny_codec.decoder.latent(segments, width=192, height=320, level=80, tile=64)
    calls = []

    class Coder:
        channels = tiny_codec.model.coder.channels

        def decode(self, layers, size, level):
            calls.append(size)
            return tiny_codec.model.coder.decode(layers, size, level)

    grid = LatentGrid(Coder(), segments, (20, 12), 80, 64)  # type: ignore[arg-type]
    for rows in (slice(0, 6), slice(3, 12), slice(9, 20)):
        for columns in (slice(0, 7), slice(5, 12)):
            assert np.array_equal(grid.window((rows, columns)), whole[rows, columns])
    assert len(calls) == len(segments) == 15
    assert len(grid._decoded) < 15
    with pytest.raises(CorruptData, match="14 tiles where the picture has 15"):
        LatentGrid(Coder(), segments[1:], (20, 12), 80, 64)  # type: ignore[arg-type]
    assert len(list(tiles(20, 12, 64))) == 15


@pytest.mark.parametrize(
    ("largest", "kind"), [(2**15 - 1, np.int16), (2**15, np.int32), (-(2**17), np.int32)]
)
def test_tiles_are_kept_in_16_bits_where_they_fit(largest, kind):
    class Coder:
        channels = 2

        def decode(self, layers, size, level):
            return np.full((*size, 2), largest, np.int32)

    grid = LatentGrid(Coder(), [(b"", b"")], (4, 4), 80, 64)  # type: ignore[arg-type]
    assert (grid.window((slice(0, 4), slice(0, 3))) == largest).all()
    assert grid._decoded[0][1].dtype == kind


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_a_tile_that_is_the_whole_latent_is_not_kept(kind):
    latent = np.arange(4 * 4 * 2, dtype=np.int32).reshape(4, 4, 2) - 2**17

    class Coder:
        channels = 2

        def decode(self, layers, size, level):
            return latent

    grid = LatentGrid(Coder(), [(b"", b"")], (4, 4), 80, 0)  # type: ignore[arg-type]
    window = grid.window((slice(0, 4), slice(0, 4)), kind)
    assert window.dtype == kind
    assert (window == latent).all()
    assert not grid._decoded
    assert (grid.window((slice(1, 4), slice(0, 4)), kind) == latent[1:]).all()
