"""What looks drawn, and what networks see in its place."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest
from PIL import Image

from tests.drawings import DRAWINGS, mixed, page
from tests.tiny import picture
from vqcodec.compress.drawn_blocks import beside, closed, drawn_mask, grown, sloping, suspicious
from vqcodec.compress.filling import FADE, filled

SAMPLES = ("dog.png", "reflect_192x192.png", "sumac_256x192.png")


def photographs():
    for name in SAMPLES:
        with as_file(files("vqcodec") / "samples" / name) as path, Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_drawn_everywhere(name):
    mask = drawn_mask(DRAWINGS[name])
    assert mask is not None
    assert mask.all()


def test_photographs_noise_and_slopes_are_not():
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for pixels in (*photographs(), noise, picture(200, 160, seed=1)):
        assert not suspicious(pixels)
        assert drawn_mask(pixels) is None


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (15, 15), (17, 33)])
def test_any_size(height, width):
    for pixels in (page(height, width), picture(height, width)):
        mask = drawn_mask(pixels)
        assert mask is None or mask.shape == (height, width)
    flat = drawn_mask(np.full((height, width, 3), 77, np.uint8))
    assert flat is not None or height * width == 1
    assert flat is None or flat.all()


def test_slopes_are_told_from_photographs():
    slope = (np.indices((90, 70))[:, :, :, None] * [0.5, 1.2, 0.7]).sum(0).round().astype(np.uint8)
    assert sloping(slope)
    assert not any(sloping(pixels) for pixels in photographs())
    assert not sloping(slope[:1])
    assert not sloping(slope[:, :1])


def test_the_mask_ends_where_text_does():
    pixels, drawn = mixed()
    mask = drawn_mask(pixels)
    assert mask is not None
    assert mask[drawn].all()
    assert mask[~drawn].mean() < 0.01
    # Also where that is inside of a block: ink and paper end there.
    pixels, _ = mixed()
    moved = np.roll(pixels, 5, 1)
    text = np.roll(drawn, 5, 1)
    text[:, :5] = False
    mask = drawn_mask(moved)
    assert mask is not None
    assert mask[text].mean() > 0.99
    assert mask[:, 8:][~text[:, 8:]].mean() < 0.01


def test_edges_are_moved_band_by_band(monkeypatch):
    from vqcodec.compress import drawn_blocks  # noqa: PLC0415

    pixels = np.roll(mixed()[0], 5, 1)
    whole = drawn_mask(pixels)
    monkeypatch.setattr(drawn_blocks, "_BAND", 48)
    bands = drawn_mask(pixels)
    assert whole is not None
    assert bands is not None
    assert np.array_equal(bands, whole)


def test_of_long_pictures_fewer_rows_are_looked_at(monkeypatch):
    from vqcodec.compress import drawn_blocks  # noqa: PLC0415

    seen = []
    packed = drawn_blocks._packed

    def watched(pixels):
        seen.append(len(pixels))
        return packed(pixels)

    monkeypatch.setattr(drawn_blocks, "_packed", watched)
    assert not suspicious(picture(200, 64))
    assert not suspicious(np.random.default_rng(0).integers(0, 256, (9000, 16, 3), np.uint8))
    assert seen == [25, 25, 375, 375]


def test_neighbours_join_and_holes_close():
    seeds = np.zeros((5, 9), bool)
    others = np.zeros((5, 9), bool)
    seeds[2, 0] = others[2, 1:5] = others[0, 8] = True
    assert np.argwhere(grown(seeds, others)).tolist() == [[2, n] for n in range(5)]
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert closed(ring).all()
    assert not closed(seeds)[:, 2:].any()
    assert beside(seeds).sum() == 6


def test_filling_keeps_what_is_known_and_continues_it():
    pixels, drawn = mixed()
    result = filled(pixels, drawn)
    assert np.array_equal(result[~drawn], pixels[~drawn])
    edge = pixels.shape[1] // 2
    near = np.abs(result[:, edge].astype(int) - pixels[:, edge - 1])
    assert near.mean() < 8
    # Far from the edge nothing is left of lines and letters.
    far = result[:, edge + FADE :].astype(int)
    assert np.abs(np.diff(far, axis=0)).mean() < 1.5
    assert np.abs(np.diff(far, axis=1)).mean() < 1.5
    everything = filled(pixels, np.ones(drawn.shape, bool))
    assert (everything == 128).all()
    assert np.array_equal(filled(pixels, np.zeros(drawn.shape, bool)), pixels)


def test_filling_mirrors_what_is_at_the_edge():
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    result = filled(pixels, mask).astype(int)
    assert np.array_equal(result[:, 30], pixels[:, 29])
    for step in range(1, FADE):
        here, there = result[:, 30 + step].ravel(), pixels[:, 29 - step].ravel()
        slope = np.polyfit(there, here, 1)[0]
        assert slope == pytest.approx(1 - step / FADE, abs=0.1)
    # A part that is narrower than the fade has its edge repeated where nothing known lies.
    narrow = np.ones((40, 60), bool)
    narrow[:, 30] = False
    assert np.array_equal(filled(pixels, narrow)[:, 31], pixels[:, 30])


def test_filling_goes_window_by_window(monkeypatch):
    from vqcodec.compress import filling  # noqa: PLC0415

    pixels, drawn = mixed()
    whole = filled(pixels, drawn).astype(int)
    monkeypatch.setattr(filling, "_SIDE", 48)
    monkeypatch.setattr(filling, "_HALO", 64)
    # Far away from what is known it may be anything.
    near = slice(0, pixels.shape[1] // 2 + 4)
    assert np.abs(filled(pixels, drawn) - whole)[:, near].mean() < 1
