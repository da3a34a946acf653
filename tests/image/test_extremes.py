"""Pure white and black stay pure where a picture has much of them."""

from __future__ import annotations

import numpy as np
import pytest

from vqcodec.bitstream import parse
from vqcodec.image.extremes import extremes_of, snapped
from vqcodec.types import BLACK, NEAR, WHITE


def shot(background: int, near: int = 0) -> np.ndarray:
    """Something of middle gray noise on a background, `near` of whose 100 columns are not quite so."""
    pixels = np.full((90, 120, 3), background, np.uint8)
    pixels[20:70, 30:90] = np.random.default_rng(0).integers(60, 200, (50, 60, 3))
    pixels[:, :near] = abs(background - 3)
    return pixels


@pytest.mark.parametrize(("background", "flag"), [(255, WHITE), (0, BLACK), (254, 0), (1, 0), (128, 0)])
def test_a_pure_background_is_flagged(background, flag):
    assert extremes_of(shot(background)) == flag


def test_what_is_nearly_white_must_be_rare_and_white_must_be_much():
    assert extremes_of(shot(255, near=3)) == WHITE
    assert extremes_of(shot(255, near=9)) == 0  # clipped highlights
    spot = np.full((90, 120, 3), 128, np.uint8)
    spot[:9, :12] = 255
    assert extremes_of(spot) == 0
    both = shot(255)
    both[:, 100:] = 0
    assert extremes_of(both) == WHITE | BLACK


def test_snapping_goes_as_far_as_it_says_and_takes_all_channels():
    row = np.array(
        [[[255 - NEAR] * 3, [254 - NEAR, 255, 255], [255, 250, 255], [NEAR] * 3, [0, 0, NEAR + 1]]]
    )
    pixels = row.astype(np.uint8)
    assert snapped(pixels, 0).tolist() == row.tolist()
    assert snapped(pixels, WHITE)[0, :3].tolist() == [[255] * 3, *row[0, 1:3].tolist()]
    assert snapped(pixels, WHITE)[0, 3:].tolist() == row[0, 3:].tolist()
    assert snapped(pixels, BLACK)[0, 3:].tolist() == [[0] * 3, row[0, 4].tolist()]
    assert pixels.tolist() == row.tolist()


@pytest.mark.parametrize("background", [255, 0])
def test_a_background_is_decoded_as_it_was(tiny_codec, background):
    pixels = shot(background)
    file = tiny_codec.compress(pixels, quality=60)
    assert parse(file).header.ignorable in (WHITE, BLACK)
    found = np.asarray(tiny_codec.decompress(file))
    part = np.asarray(tiny_codec.decompress(file, region=(0, 0, 50, 20)))
    assert np.array_equal(part, found[:20, :50])
    near = np.abs(found.astype(int) - background)
    assert not ((near.max(2) > 0) & (near.max(2) <= NEAR)).any()
