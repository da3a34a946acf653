"""Searching for a size or a PSNR: few encodes, the right side of the target, and honest ends of the dial."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import picture
from vqcodec import errors
from vqcodec.compress.picture_encoder import PictureEncoder
from vqcodec.compress.targets import SIZE_SLOPE, TRIES, search
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.types import LEVEL_MAX

Functions = tuple[Callable[[int], int], Callable[[int], float]]


def watched(function: Callable[[int], float]) -> tuple[Functions, list[int]]:
    """What makes and measures as `search` takes it, the value of a level, and the levels that are made."""
    calls: list[int] = []

    def make(level: int) -> int:
        calls.append(level)
        return level

    return (make, function), calls


@given(
    steep=st.floats(0.5, 2.0),
    bend=st.floats(-0.4, 0.4),
    target=st.floats(-1.0, 5.0),
    from_below=st.booleans(),
)
def test_few_calls_find_the_neighbour_of_the_target(
    steep: float, bend: float, target: float, from_below: bool
) -> None:
    def curve(level: int) -> float:
        x = level / LEVEL_MAX
        return LEVEL_MAX * SIZE_SLOPE * steep * (x + bend * x * (1 - x))

    measure, calls = watched(curve)
    found = search(*measure, target, SIZE_SLOPE, from_below=from_below)
    assert len(calls) <= TRIES
    assert len(set(calls)) == len(calls)
    assert (found.value, found.result) == (curve(found.level), found.level)
    fitting = [level for level in range(LEVEL_MAX + 1) if (curve(level) <= target) == from_below]
    if not fitting:
        assert found.level == (0 if from_below else LEVEL_MAX)
        return
    best = max(fitting) if from_below else min(fitting)
    assert found.level in fitting
    assert found.level == best


def test_a_straight_line_takes_four_calls() -> None:
    measure, calls = watched(lambda level: SIZE_SLOPE * level)
    assert search(*measure, SIZE_SLOPE * 40.5, SIZE_SLOPE, from_below=True).level == 40
    assert len(calls) <= 4


def test_steps_that_are_far_from_a_line_still_end_on_the_right_side() -> None:
    for target in (0.5, 1.5, 2.5):
        measure, calls = watched(lambda level: float(np.searchsorted([3, 200, 251], level, "right")))
        found = search(*measure, target, 0.5, from_below=True)
        assert found.value <= target
        assert len(calls) <= TRIES


def test_sizes_of_a_model(tiny_codec) -> None:
    codec = tiny_codec
    ready = codec.prepare(picture(160, 192, seed=5))
    for level in (40, 90, 140):
        data = codec.compress(ready, quality=100 * level / LEVEL_MAX, drawn=False)
        # The tiny model's sizes come in steps of four bytes.
        within = codec.compress(ready, target_size=len(data) + 1, drawn=False)
        assert 0.97 * len(data) <= len(within) <= len(data) + 1


def test_psnr_of_files(codec, pixels) -> None:
    ready = codec.prepare(pixels)
    size = {"width": pixels.shape[1], "height": pixels.shape[0], "tile": 64}
    reached = [
        psnr(pixels, codec.decode(codec.encode(pixels, level, 64).segments, level=level, **size))
        for level in range(LEVEL_MAX + 1)
    ]
    for least in (24.0, 30.0, 38.5):
        found = psnr(pixels, np.asarray(codec.decompress(codec.compress(ready, psnr=least))))
        assert found == min(value for value in reached if value >= least)


def test_a_psnr_beyond_the_dial_is_an_error(codec, pixels, tiny_codec) -> None:
    with pytest.raises(errors.TargetTooHigh, match=r"less than the 99 asked for"):
        tiny_codec.compress(picture(64, 64), psnr=99, drawn=False)
    # The fake codec is lossless at the top.
    data = codec.compress(pixels, psnr=1000)
    assert psnr(pixels, np.asarray(codec.decompress(data))) == math.inf
    with pytest.raises(ValueError, match="only one of"):
        codec.compress(pixels, psnr=30, quality=50)


def test_the_psnr_of_a_gray_picture_is_that_of_its_gray(tiny_codec) -> None:
    """A decoder that errs in colour alone errs by nothing: gray is what people get."""
    codec = tiny_codec
    gray = picture(96, 64, seed=3)[:, :, 0]
    encoder = PictureEncoder(codec.encoder, codec.decoder, codec.prepare(gray), tile=0, effort=1)
    for level in (0, 120, 252):
        coded = encoder.encode(level)
        assert encoder.psnr(coded) == psnr(gray, np.asarray(codec.decompress(encoder.file(coded).data)))


def test_a_picture_that_is_always_exact_takes_the_lowest_level() -> None:
    measure, calls = watched(lambda level: math.inf)
    assert search(*measure, 40.0, 0.1, from_below=False).level == 0
    assert len(calls) <= 3
