"""Colours that nobody sees cost nothing and leave the edges alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vqcodec.image.picture import load_picture
from vqcodec.image.transparency import _STRIP, fill_invisible


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)


def test_what_is_seen_stays_and_what_is_not_seen_does_not_matter():
    one, other = noise(70, 90), noise(70, 90)
    one[..., 3] = np.where(np.indices((70, 90)).sum(0) % 7 > 4, one[..., 3] | 1, 0)
    other[..., 3] = one[..., 3]
    seen = one[..., 3] > 0
    other[seen] = one[seen]
    first, second = load_picture(one), load_picture(other)
    assert np.array_equal(first.pixels[seen], one[..., :3][seen])
    assert np.array_equal(first.pixels, second.pixels)
    assert first.alpha is not None
    assert np.array_equal(first.alpha, one[..., 3])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (64, 64), (65, 33), (2 * _STRIP + 3, 5)])
def test_one_colour_fills_everything(size):
    pixels = noise(*size)[..., :3].copy()
    alpha = np.zeros(size, np.uint8)
    alpha[-1, -1] = 1
    pixels[-1, -1] = 200, 50, 7
    fill_invisible(pixels, alpha)
    assert np.abs(pixels.astype(int) - (200, 50, 7)).max() <= 1


def test_the_filling_is_a_smooth_continuation():
    ramp = np.repeat(np.tile(np.linspace(0, 255, 1200, dtype=np.uint8)[:, None], (1, 64))[..., None], 3, 2)
    pixels, alpha = ramp.copy(), np.full((1200, 64), 255, np.uint8)
    alpha[:, 20:44] = 0
    pixels[:, 20:44] = noise(1200, 24)[..., :3]
    fill_invisible(pixels, alpha)
    assert np.abs(pixels.astype(int) - ramp).max() <= 6  # across strips as well


def test_a_picture_that_shows_nothing_is_black_and_an_opaque_one_is_left_alone():
    pixels = noise(20, 30)[..., :3].copy()
    before = pixels.copy()
    fill_invisible(pixels, np.full((20, 30), 1, np.uint8))
    assert np.array_equal(pixels, before)
    fill_invisible(pixels, np.zeros((20, 30), np.uint8))
    assert not pixels.any()


def test_hidden_colours_do_not_make_a_gray_picture_coloured():
    pixels = noise(16, 16)
    pixels[..., 3] = 0
    pixels[4:8, 4:8] = 90, 90, 90, 255
    image = Image.fromarray(pixels)
    assert load_picture(image).neutral
