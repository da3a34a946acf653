"""Pure white and black stay pure where a picture has much of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tiny import picture
from vqcodec.bitstream import parse, write
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


@pytest.mark.parametrize(("background", "flag"), [(255, WHITE), (0, BLACK)])
def test_files_of_pictures_on_a_pure_background_say_so(tiny_codec, background, flag):
    pixels = np.full((160, 240, 3), background, np.uint8)
    pixels[30:140, 30:220] = picture(110, 190, 3)
    assert parse(tiny_codec.compress(pixels, quality=60)).header.ignorable == flag


@pytest.mark.parametrize(("background", "flag"), [(255, WHITE), (0, BLACK)])
def test_a_background_that_networks_decode_is_as_it_was(tiny_codec, background, flag):
    rows, columns = np.mgrid[0:160, 0:240]
    share = np.clip(1.3 - np.hypot((rows - 80) / 60, (columns - 120) / 95), 0, 1)[..., None]
    pixels = (background + (picture(160, 240, 3) - float(background)) * share).astype(np.uint8)
    file = tiny_codec.compress(pixels, quality=60)
    stored = parse(file)
    assert not stored.header.drawn
    found = np.asarray(tiny_codec.decompress(file)).astype(int)
    told = write(replace(stored.header, ignorable=flag), stored.segments, stored.chunks)
    pure = np.asarray(tiny_codec.decompress(told))
    near = (np.abs(found - background) <= NEAR).all(2)
    assert (found[near] != background).any()
    assert (pure[near] == background).all()
    assert np.array_equal(pure[~near], found[~near])
    part = np.asarray(tiny_codec.decompress(told, region=(0, 0, 50, 20)))
    assert np.array_equal(part, pure[:20, :50])
