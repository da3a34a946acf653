"""Drawn pictures come back exactly and small; photographs as before; both in one picture; sizes asked for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from PIL import Image

import vqcodec
from tests.compress.test_drawn_blocks import photographs
from tests.drawings import DRAWINGS, checkerboard, lossless_size, mixed, page, sprites
from tests.tiny import picture
from vqcodec.bitstream import parse
from vqcodec.bitstream.header import bare_header
from vqcodec.compress import picture_encoder
from vqcodec.compress.drawn_blocks import beside, drawn_mask
from vqcodec.compress.drawn_encoder import DrawnEncoder
from vqcodec.compress.drawn_plan import Plan
from vqcodec.compress.tile_choice import Choice, WebpTile, squared_error
from vqcodec.errors import UnsuitableOption
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.types import LEVEL_MAX, NEUTRAL, WHITE


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_exact_and_as_small_as_lossless_webp(codec, name):
    pixels = DRAWINGS[name]
    data = codec.compress(pixels)
    assert np.array_equal(np.asarray(codec.decompress(data)), pixels)
    # A bare file has two bytes more than one of WebP, and a third where its length is no single byte.
    assert len(data) <= lossless_size(pixels) + 3
    assert not vqcodec.probe(data).needs_model


def test_one_exact_tile_is_a_bare_file(codec):
    for options in ({}, {"tile": 0}, {"tile": 512}, {"lossless": True}, {"quality": 100, "tune": "psnr"}):
        data = codec.compress(page(), **options)
        header = parse(data).header
        assert header == bare_header(header)
        assert np.array_equal(np.asarray(codec.decompress(data)), page())
        # It is exact, whatever was asked for, and made by no tune.
        info = vqcodec.probe(data)
        assert (info.quality, info.level, info.tile, info.tiles, info.tune) == (100, LEVEL_MAX, 0, 1, "eyes")
        assert (info.drawn_share, info.drawn_bytes) == (1, len(parse(data).drawn[0] or b""))
    for options in ({"tile": 64}, {"drawn": False}):
        assert not parse(codec.compress(page(), **options)).header.bare


def test_flags_for_what_networks_miss_are_not_of_files_without_them(codec):
    pixels = page().copy()
    pixels[:4, :3], pixels[4:8, :3] = 252, 3
    assert parse(codec.compress(pixels, drawn=False)).header.ignorable == NEUTRAL | WHITE
    for options in ({}, {"tile": 64}):
        data = codec.compress(pixels, lossless=True, **options)
        assert parse(data).header.ignorable == NEUTRAL
        assert np.array_equal(np.asarray(codec.decompress(data)), pixels)


def test_bytes_that_are_the_same_at_every_level():
    webp = replace(Choice(0, 0.0, b"\x2f" + bytes(4)), size=5)
    lossy = Choice(5, 1.0, b"\x10" + bytes(4))
    coder = cast("DrawnEncoder", None)
    assert Plan(coder, 0, [webp]).fixed == 5
    assert Plan(coder, 0, [webp, webp]).fixed == 16
    assert Plan(coder, 0, [webp, lossy]).fixed == 8
    assert Plan(coder, 0, [replace(webp, mask=np.ones((1, 1), bool))]).fixed == 8


def test_photographs_are_coded_as_if_nothing_else_were_there():
    codec = vqcodec.load(device="cpu")
    for pixels in photographs():
        small = pixels[:192, :192]
        data = codec.compress(small)
        assert data == codec.compress(small, drawn=False)
        assert not parse(data).header.drawn


def test_without_drawn_all_is_left_to_the_networks(codec):
    data = codec.compress(page(), drawn=False)
    assert not parse(data).header.drawn
    assert not np.array_equal(np.asarray(codec.decompress(data)), page())


def test_tiles_beyond_lossless_webp_fail_that_picture_alone(tiny_codec, tmp_path):
    Image.new("RGB", (17_000, 2), (9, 200, 3)).save(tmp_path / "wide.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "good.png")
    names = [tmp_path / "wide.png", tmp_path / "good.png"]
    report = vqcodec.compress_batch(names, codec=tiny_codec, lossless=True, tile=0)
    assert [result.source for result in report.done] == names[1:]
    (failed,) = report.failed
    assert isinstance(failed.error, UnsuitableOption)
    assert "lossless needs tiles of at most 16383" in str(failed.error)


def test_text_beside_a_photograph(tiny_codec):
    pixels, drawn = mixed()
    data, info = tiny_codec.compress_with_info(pixels)
    decoded = np.asarray(tiny_codec.decompress(data))
    assert np.array_equal(decoded[drawn], pixels[drawn])
    assert not np.array_equal(decoded[~drawn], pixels[~drawn])
    (layers,), (segment,) = parse(data).segments, parse(data).drawn
    assert all(layers)
    assert info.drawn_bytes == len(segment or b"")
    assert info.drawn_share == pytest.approx(drawn.mean(), abs=0.01)
    assert info.needs_model


def test_the_error_beside_text_is_no_higher_than_elsewhere():
    """In what the packaged model decodes, next to the text and further away."""
    codec = vqcodec.load(device="cpu")
    photograph = next(photographs())[100:228, 100:228]
    pixels = np.hstack([photograph, page(128, 128)])
    mask = drawn_mask(pixels)
    assert mask is not None
    data = codec.compress(pixels)
    decoded = np.asarray(codec.decompress(data)).astype(int)
    errors = np.square(decoded - pixels).mean(2)
    near = mask
    for _ in range(3):
        near = beside(near)
    assert errors[mask].max() == 0
    where = {"width": 128, "height": 128, "level": vqcodec.probe(data).level, "tile": 0}
    alone = codec.decode(codec.encode(photograph, where["level"], 0).segments, **where).astype(int)
    usual = np.square(alone - photograph).mean(2)
    assert errors[near & ~mask].mean() < 1.5 * usual[:, -20:].mean()
    assert errors[~near].mean() < 1.1 * usual.mean()


def test_tiles_are_chosen_one_by_one(tiny_codec):
    """A photograph, text and both: tiles of text far from the networks' have no latent."""
    pixels = np.hstack([picture(128, 64, seed=3), page(128, 64 * 4)])
    noise = np.random.default_rng(5).normal(0, 6, (128, 64, 3))
    pixels[:, :64] = (pixels[:, :64] + noise).clip(0, 255).astype(np.uint8)
    data = tiny_codec.compress(pixels, tile=64)
    container = parse(data)
    kinds = [
        (bool(drawn), bool(layers[0]))
        for drawn, layers in zip(container.drawn, container.segments, strict=True)
    ]
    # Beside the photograph the latents of two tiles are mixed.
    assert kinds == 2 * [(False, True), (True, True), (True, False), (True, False), (True, False)]
    decoded = np.asarray(tiny_codec.decompress(data))
    assert np.array_equal(decoded[:, 64:], pixels[:, 64:])
    assert psnr(pixels[:, :64], decoded[:, :64]) > 20
    info = vqcodec.probe(data)
    assert info.drawn_share is None
    assert vqcodec.verify(data).drawn_share == pytest.approx(0.8)


@pytest.mark.parametrize("effort", [2, 5])
def test_efforts(tiny_codec, effort):
    pixels, drawn = mixed()
    data = tiny_codec.compress(pixels, effort=effort)
    decoded = np.asarray(tiny_codec.decompress(data))
    assert np.array_equal(decoded[drawn], pixels[drawn])
    assert data != tiny_codec.compress(pixels)


def test_slopes_are_exact_where_that_is_smaller():
    codec = vqcodec.load(device="cpu")
    rows, columns = np.indices((64, 127))
    on = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]])
    bars = ((2 * columns + rows)[:, :, None] % 256 * on[rows // 8]).astype(np.uint8)
    data = codec.compress(bars, quality=100)
    assert np.array_equal(np.asarray(codec.decompress(data)), bars)
    assert len(data) < len(codec.compress(bars, quality=100, drawn=False)) / 2
    # Where the networks' file is smaller, it stays.
    down, across = np.indices((192, 192))[:, :, :, None] / 191
    slope = (down * [150, 60, 20] + across * [60, 110, 90]).round().astype(np.uint8)
    assert codec.compress(slope) == codec.compress(slope, drawn=False)


def test_pictures_that_are_drawn_everywhere_have_large_tiles(codec):
    wide = np.tile(page(64, 160), (1, 26, 1))
    for options in ({}, {"lossless": True}):
        data = codec.compress(wide, **options)
        assert (vqcodec.probe(data).tile, vqcodec.probe(data).tiles) == (4096, 2)
        assert len(data) <= lossless_size(wide[:, :4096]) + lossless_size(wide[:, 4096:]) + 30
        assert np.array_equal(
            np.asarray(codec.decompress(data, region=(1000, 0, 200, 60))), wide[:60, 1000:1200]
        )
    # But where tiles of a size were asked for, they have it.
    assert vqcodec.probe(codec.compress(wide, tile=512)).tile == 512
    assert parse(codec.compress(wide[:, :4096])).header.bare


def test_progress_of_a_picture_without_networks(codec):
    seen = []
    codec.compress(page(128, 192), tile=64, progress=lambda *part: seen.append(part))
    assert seen == [(6, 6)]


# -- lossless ----------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
@pytest.mark.parametrize("tile", [0, 64])
def test_lossless_in_every_mode(codec, mode, tile):
    image = Image.fromarray(picture(90, 150, seed=2))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image = image.convert(mode)
    expected = image if mode in ("L", "LA", "RGB", "RGBA") else image.convert({"P": "RGBA", "1": "L"}[mode])
    data = codec.compress(image, lossless=True, tile=tile)
    decoded = codec.decompress(data)
    if mode == "P":
        expected = expected.convert(decoded.mode)
    assert decoded.mode == expected.mode
    assert decoded.tobytes() == expected.tobytes()
    info = vqcodec.verify(data)
    assert (info.quality, info.drawn_share, info.needs_model) == (100, 1, False)


def test_lossless_excludes_other_aims(codec):
    for option in ("quality", "bpp", "target_size", "psnr"):
        with pytest.raises(ValueError, match="give only one of quality, bpp, target_size, psnr and lossless"):
            codec.compress(page(), lossless=True, **{option: 30})


def test_tiles_too_large_for_webp(codec):
    long = np.zeros((1, 16_384, 3), np.uint8)
    with pytest.raises(
        ValueError, match="lossless needs tiles of at most 16383 pixels a side and 67108864 in all"
    ):
        codec.compress(long, lossless=True, tile=0)
    assert not parse(codec.compress(long, tile=0)).header.drawn
    assert parse(codec.compress(long)).header.drawn


def test_labels_are_of_models(codec, tiny_codec):
    assert not parse(codec.compress(page(), label=True)).chunks
    kinds = [chunk.type for chunk in parse(tiny_codec.compress(mixed()[0], label=True)).chunks]
    assert kinds == ["mODL", "dECD"]


# -- sizes and PSNR that are asked for ---------------------------------------------------------
def test_a_size_for_exact_text_or_less(tiny_codec):
    pixels = page()
    exact = len(tiny_codec.compress(pixels, lossless=True))
    assert len(tiny_codec.compress(pixels, target_size=exact)) == exact
    assert len(tiny_codec.compress(pixels, bpp=8 * exact / (96 * 160) + 0.01)) == exact
    less = tiny_codec.compress(pixels, target_size=exact - 1)
    assert len(less) < exact
    assert psnr(pixels, np.asarray(tiny_codec.decompress(less))) > 8
    with pytest.raises(vqcodec.errors.TargetTooSmall, match="quality 0 already needs"):
        tiny_codec.compress(pixels, target_size=60)


def test_a_psnr_may_end_exact(tiny_codec):
    data = tiny_codec.compress(page(), psnr=70)
    assert np.array_equal(np.asarray(tiny_codec.decompress(data)), page())


# -- what the choice is made of ----------------------------------------------------------------
def test_errors_and_costs():
    a = np.full((2, 3, 3), 100, np.uint8)
    b = a.copy()
    b[0, 0] = (103, 100, 100)
    assert squared_error(a, b, gray=False) == 3
    assert squared_error(a, b, gray=True) == 1
    assert Choice(10, 4.0).cost(LEVEL_MAX) == pytest.approx(80 + 0.15 * 4)


def test_the_best_lossy_file_is_found():
    pixels = picture(64, 80, seed=1)
    tile = WebpTile(pixels, np.ones((64, 80), bool), gray=False)
    for level in (20, 130, 240):
        found = tile.lossy(level).cost(level)
        best = min(tile.lossy_at(quality).cost(level) for quality in range(0, 101, 4))
        assert found <= 1.05 * best
    # Where another way is far better, one look is enough.
    other = WebpTile(pixels, tile.mask, gray=False)
    other.lossy(130, enough=1.0)
    assert len(other._lossy) == 1


def test_all_levels_cost_less_for_less(tiny_codec):
    """Sizes never fall up the dial where one coder is given up for another."""
    ready = tiny_codec.prepare(sprites())
    sizes = [len(tiny_codec.compress(ready, quality=quality)) for quality in (0, 30, 60, 100)]
    assert all(a <= b for a, b in itertools.pairwise(sizes))
    assert sizes[-1] <= 1.01 * lossless_size(sprites()) + 200


def test_nothing_searches_levels_for_a_checkerboard(tiny_codec, monkeypatch):
    monkeypatch.setattr(picture_encoder, "best_level", None)
    data = tiny_codec.compress(checkerboard(1), quality=100)
    assert len(data) < 300
