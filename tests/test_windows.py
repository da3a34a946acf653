"""Big pictures by windows: pieces and halos fit, and pixels are those of the whole picture at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vqcodec.segments
from tests.tiny import picture
from vqcodec.errors import CorruptData
from vqcodec.grid import LatentGrid, tiles
from vqcodec.model.blocks import BLOCK
from vqcodec.model.vqvae import VQVAE, ModelConfig
from vqcodec.windows import HALO, SIDE, cut, overlap, within


@pytest.mark.parametrize(
    ("count", "side", "unit"), [(1, 8, 1), (40, 8, 4), (41, 12, 4), (64, 64, 64), (65, 64, 8)]
)
def test_pieces_cover_everything_once(count, side, unit):
    pieces = cut(count, side, unit, halo=3)
    assert [i for inner, _ in pieces for i in range(inner.start, inner.stop)] == list(range(count))
    for inner, outer in pieces:
        assert inner.stop - inner.start <= side
        assert inner.start % unit == 0
        assert outer == slice(max(inner.start - 3, 0), min(inner.stop + 3, count))
        assert list(range(count))[outer][within(inner, outer)] == list(range(count))[inner]
    with pytest.raises(ValueError, match="multiples of 9"):
        cut(10, 8, 9)


def test_a_window_is_small_enough_to_be_reused():
    """From 32 MiB on, glibc gives an array's memory back when it is freed, and gets it zeroed again."""
    assert 3 * 4 * (BLOCK * (SIDE + 2 * HALO)) ** 2 < 2**25


@pytest.mark.parametrize("size", [(200, 130), (65, 95), (16, 17), (3, 5)])
def test_parts_are_padded_as_the_whole_is(tiny_segments, size):
    analysis = tiny_segments.analyse(picture(size[0], size[1], seed=1))
    rows, columns = analysis.shape
    for i in range(rows):
        for j in range(columns):
            part = analysis.window(slice(i, rows), slice(j, j + 1))
            assert torch.equal(part, analysis.x[:, :, BLOCK * i :, BLOCK * j : BLOCK * j + BLOCK])
    assert analysis.pixels.shape == (*size, 3)  # no second copy of a big picture


def test_overlap():
    assert overlap(slice(2, 5), slice(4, 9)) == slice(4, 5)
    assert overlap(slice(2, 5), slice(5, 9)) is None


def test_the_halo_is_as_wide_as_the_default_model_sees():
    """Changing a pixel, or a latent, moves nothing further away than the halo."""
    torch.manual_seed(0)
    model = VQVAE(ModelConfig()).eval()
    side, level = 2 * HALO + 3, torch.tensor([0.5])
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
        assert max(far) - middle <= HALO
        x = torch.rand(1, 3, 16 * side, 16 * side)
        other = x.clone()
        other[:, :, 16 * middle : 16 * middle + 16, 16 * middle : 16 * middle + 16] = 0
        moved = (model.analyse(x, level) != model.analyse(other, level)).any(1)[0]
        assert max(int(i.max()) for i in torch.nonzero(moved, as_tuple=True)) - middle <= HALO


@pytest.mark.parametrize("tile", [0, 64, 128, 192])
def test_windows_give_what_the_whole_gives(tiny_segments, monkeypatch, tile):
    pixels = picture(32 * 16 - 5, 27 * 16 - 9, seed=2)
    analysis = tiny_segments.analyse(pixels)
    place = {"width": pixels.shape[1], "height": pixels.shape[0], "level": 120, "tile": tile}
    whole = tiny_segments.encode(analysis, 120, tile)
    seen = tiny_segments.decode(whole, **place)
    error = analysis.errors[120]
    monkeypatch.setattr(vqcodec.segments, "SIDE", 8)

    def small(count, side=8, unit=1, span=None):
        return cut(count, side, unit, span=span)

    monkeypatch.setattr(vqcodec.segments, "cut", small)
    sizes = []
    analyse = tiny_segments.transforms.analyse

    def watch(x, t):
        sizes.append(max(x.shape[2:]) // 16)
        return analyse(x, t)

    monkeypatch.setattr(tiny_segments.transforms, "analyse", watch)
    pieces = tiny_segments.encode(analysis, 120, tile)
    assert max(sizes) <= 8 + 2 * HALO < 32  # tiles larger than a window are analysed by windows too
    assert len(pieces) == len(whole)
    again = tiny_segments.decode(pieces, **place)
    # Rounding in another order may choose another word where two are as good; windows of one file agree.
    assert np.abs(tiny_segments.decode(whole, **place).astype(int) - seen).max() <= 1
    assert np.abs(again.astype(int) - seen).mean() < 0.05
    assert analysis.errors[120] == pytest.approx(error, rel=0.01)
    latents = [tiny_segments.decode_latent(s, **place) for s in (whole, pieces)]
    assert (latents[0] != latents[1]).mean() < 0.01


def test_tiles_are_decoded_once_and_forgotten_when_passed(tiny_segments):
    pixels = picture(320, 192, seed=4)
    segments = tiny_segments.encode(tiny_segments.analyse(pixels), 80, 64)
    whole = tiny_segments.decode_latent(segments, width=192, height=320, level=80, tile=64)
    calls = []

    class Coder:
        channels = tiny_segments.coder.channels

        def decode(self, layers, size, level):
            calls.append(size)
            return tiny_segments.coder.decode(layers, size, level)

    grid = LatentGrid(Coder(), segments, (20, 12), 80, 64)  # type: ignore[arg-type]
    for rows in (slice(0, 6), slice(3, 12), slice(9, 20)):
        for columns in (slice(0, 7), slice(5, 12)):
            assert np.array_equal(grid.window(rows, columns), whole[rows, columns])
    assert len(calls) == len(segments) == 15
    assert len(grid._decoded) < 15
    with pytest.raises(CorruptData, match="14 tiles where the picture has 15"):
        LatentGrid(Coder(), segments[1:], (20, 12), 80, 64)  # type: ignore[arg-type]
    assert len(list(tiles(20, 12, 64))) == 15
