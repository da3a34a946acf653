"""No file is larger than lossless WebP's by more than 1 % and 200 bytes; photographs take no time for it."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import pytest
from PIL import Image

import vqcodec
from tests.compress.test_drawn_blocks import photographs
from tests.drawings import lossless_size, page
from vqcodec.compress.lossless_guess import LosslessGuess

RANDOM = np.random.default_rng(0)
HEIGHT, WIDTH = 150, 208


def periodic(down: int, across: int, shift: int = 0):
    """Noise that comes again, each time moved to the side."""
    cell = RANDOM.integers(0, 256, (down, across, 3), dtype=np.uint8)
    rows, columns = np.indices((HEIGHT, WIDTH))
    return cell[rows % down, (columns + shift * (rows // down)) % across]


def few_colours(count: int):
    """Noise of some colours."""
    colours = RANDOM.integers(0, 256, (count, 3)).astype(np.uint8)
    return colours[RANDOM.integers(0, count, (HEIGHT, WIDTH))]


def slope(gray: bool = False):
    """Steep slopes that start again at 0."""
    rows, columns = np.indices((HEIGHT, WIDTH))[:, :, :, None]
    pixels = ((rows * [3, -2, 3] + columns * [-3, 3, 1]) % 256).astype(np.uint8)
    return pixels[:, :, [0, 0, 0]] if gray else pixels


def sparse():
    """Dots of any colour on one."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    dots = RANDOM.random((HEIGHT, WIDTH)) < 0.003
    pixels[dots] = RANDOM.integers(0, 256, (int(dots.sum()), 3))
    return pixels


def photograph():
    return next(photographs())[:HEIGHT, :WIDTH]


def dithered(colours: int):
    image = Image.fromarray(photograph()).convert("P", palette=Image.Palette.ADAPTIVE, colors=colours)
    return np.asarray(image.convert("RGB"))


def quarters():
    """Four kinds in one picture."""
    upper = np.hstack([page(HEIGHT, WIDTH)[:75, :104], photograph()[:75, :104]])
    return np.vstack([upper, np.hstack([periodic(9, 31)[:75, :104], few_colours(16)[:75, :104]])])


NASTY = {
    "periodic": periodic(50, 70),
    "period moved": periodic(12, 208, 5),
    "16 colours": few_colours(16),
    "256 colours": few_colours(256),
    "slope": slope(),
    "gray slope": slope(gray=True),
    "dots": sparse(),
    "four shades": photograph() // 64 * 64,
    "dithered": dithered(8),
    "quarters": quarters(),
    "noise": RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
}


@pytest.fixture(scope="module")
def codec():
    return vqcodec.load(device="cpu")


@pytest.mark.parametrize("name", NASTY)
def test_no_file_is_larger_than_a_lossless_one(codec, name):
    pixels = NASTY[name]
    tiles = [pixels[top : top + 128, left : left + 128] for top in (0, 128) for left in (0, 128)]
    for tile, exact in (
        (1024, lossless_size(pixels)),
        (128, sum(12 + lossless_size(part) for part in tiles)),
    ):
        ready = codec.prepare(pixels)
        for quality in (10, 50, 100):
            assert len(codec.compress(ready, quality=quality, tile=tile)) <= 1.01 * exact + 200


def test_nor_one_of_several_tiles(codec):
    """Of the usual size; a part is a photograph, and all of it comes again."""
    cell = np.vstack([page(272, 272), np.tile(photograph()[:136, :136], (2, 2, 1))[:, :272]])
    pixels = np.tile(cell, (2, 4, 1))
    assert pixels.shape == (1088, 1088, 3)
    assert len(codec.compress(pixels)) <= 1.01 * lossless_size(pixels) + 200


def test_photographs_are_given_up_by_a_sample():
    for pixels in photographs():
        guess = LosslessGuess(pixels)
        for share in (0.1, 0.5, 1):
            assert not guess.hopeful(round(share * pixels.shape[0] * pixels.shape[1] / 8))


def test_mirrored_photographs_too_where_they_come_again_out_of_reach():
    large = np.asarray(Image.fromarray(photograph()).resize((1000, 700), Image.Resampling.BICUBIC))
    mirrored = np.pad(large, ((0, 1400), (0, 3200), (0, 0)), "symmetric")
    assert not LosslessGuess(mirrored).hopeful(mirrored.shape[0] * mirrored.shape[1] // 64)
    near = mirrored[:, :WIDTH]
    assert LosslessGuess(near).hopeful(near.shape[0] * near.shape[1] // 64)


def test_a_sample_is_small():
    with as_file(files("vqcodec") / "samples" / "dog.png") as path, Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    guess = LosslessGuess(pixels)
    assert guess._sample() == pytest.approx(lossless_size(pixels), rel=0.25)
    tall = LosslessGuess(np.tile(pixels, (20, 1, 1))[:, :64])
    assert tall._sample() > 0
    assert guess.clearly_more(300_000, 60_000)
    assert not guess.clearly_more(300_000, 80_000)


def test_what_is_simple_is_looked_at_more_closely():
    for name in ("periodic", "slope", "gray slope", "dots"):
        assert LosslessGuess(NASTY[name]).hopeful(400), name
    assert LosslessGuess(np.zeros((5, 2, 3), np.uint8)).hopeful(30)
    # A smooth photograph is none.
    smooth = np.asarray(Image.fromarray(photograph()).resize((1000, 700), Image.Resampling.BICUBIC))
    guess = LosslessGuess(smooth)
    assert not guess.hopeful(3000)
    assert set(guess._sampled) <= {"quick", "usual"}
