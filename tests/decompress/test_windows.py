"""Big pictures by windows: pieces and halos fit, and pixels are those of the whole picture at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vqcodec
import vqcodec.segments
from tests.tiny import picture
from vqcodec.decompress.latent_grid import LatentGrid, tiles
from vqcodec.errors import CorruptData
from vqcodec.model.blocks import BLOCK
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.segments import SegmentCodec, inside
from vqcodec.tiling import HALO, SIDE, batches, cut, overlap, within
from vqcodec_cli.main import main


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
    pixels = picture(36 * 16 - 5, 27 * 16 - 9, seed=2)
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
    assert max(sizes) <= 8 + 2 * HALO < 36  # tiles larger than a window are analysed by windows too
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


def test_windows_of_one_size_make_batches():
    windows = cut(50, 10, 1, halo=3)
    assert [[w[0].start for w in b] for b in batches(windows, 2)] == [[0], [10, 20], [30], [40]]
    assert [len(b) for b in batches(windows, 9)] == [1, 3, 1]  # the border's have half a halo
    assert list(batches([], 3)) == []


@pytest.mark.parametrize("tile", [64, 256, 0])
def test_batches_give_what_single_windows_give(tiny_weights, monkeypatch, tile):
    pixels, place = picture(100, 420), {"width": 420, "height": 100, "level": 120, "tile": tile}
    monkeypatch.setattr(vqcodec.segments, "SIDE", 5)

    def small(count, side=5, unit=1, span=None):
        return cut(count, side, unit, halo=2, span=span)

    monkeypatch.setattr(vqcodec.segments, "cut", small)
    one, three = (SegmentCodec.load(tiny_weights, batch=batch) for batch in (1, 3))
    stacked = []
    for codec in (one, three):
        for name in ("g_a", "g_s"):
            network = getattr(codec.transforms, name)
            network.register_forward_pre_hook(lambda _, inputs: stacked.append(len(inputs[0])))
    segments = one.encode(one.analyse(pixels), 120, tile)
    decoded = one.decode(segments, **place)
    assert set(stacked) == {1}
    stacked.clear()
    together = three.encode(three.analyse(pixels), 120, tile)
    latents = [one.decode_latent(found, **place) for found in (segments, together)]
    assert (latents[0] != latents[1]).mean() < 0.01  # another order of rounding
    assert max(stacked) > 1
    stacked.clear()
    assert np.abs(three.decode(segments, **place).astype(int) - decoded).max() <= 1
    assert max(stacked) == 3


def test_how_many_go_through_at_once(tiny_weights, tmp_path, loads):
    def batch(**options):
        return inside(vqcodec.load(tiny_weights, device="cpu", **options)).batch

    assert batch() == 1
    assert batch(batch_size=5) == 5
    with pytest.raises(ValueError, match="1 or more"):
        batch(batch_size=0)
    Image.fromarray(picture(32, 48)).save(tmp_path / "a.png")
    loads.clear()
    words = ["-m", str(tiny_weights), "-d", "cpu", "-f", "--batch-size", "3"]
    assert main(["compress", str(tmp_path / "a.png"), *words]) == 0
    assert main(["decompress", str(tmp_path / "a.vqc"), *words]) == 0
    report = vqcodec.compress_batch(
        [tmp_path / "a.png"], tmp_path / "out", model=str(tiny_weights), device="cpu", batch_size=4
    )
    assert len(report.done) == 1
    assert [batch for batch, _ in loads] == [3, 3, 4]
    assert main(["compress", str(tmp_path / "a.png"), "--batch-size", "0"]) == 2
