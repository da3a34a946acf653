"""The quality dial: what a quality means for a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import vqcodec
from vqcodec.compress.dial import REACH, STRENGTH, TYPICAL, busyness, level_from_quality


def noisy(amount: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    random = np.random.default_rng(3)
    return (128 + random.integers(-amount, amount + 1, (*size, 3))).astype(np.uint8)


def test_busyness_is_the_mean_step_between_neighbours():
    ramp = np.zeros((5, 7, 3), np.uint8)
    ramp[:] = np.arange(7)[:, None] * 4
    assert busyness(ramp) == pytest.approx(4)
    assert busyness(np.ascontiguousarray(ramp.transpose(1, 0, 2))) == pytest.approx(4)
    ramp[:, :, 1:] = 0  # one channel of three
    assert busyness(ramp) == pytest.approx(4 / 3)
    checks = np.zeros((6, 6, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    assert busyness(checks) == pytest.approx(510)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_thin_pictures_have_a_busyness(shape):
    pixels = np.zeros((*shape, 3), np.uint8)
    assert busyness(pixels) == 0
    if max(shape) > 1:
        pixels.reshape(-1, 3)[::2] = 30
        assert busyness(pixels) == pytest.approx(30)


def test_tall_pictures_are_sampled_evenly():
    tall = np.concatenate([noisy(2, (3000, 8)), noisy(60, (1000, 8))])
    whole = tall.sum(2, dtype=np.int64)
    expected = (np.abs(np.diff(whole, axis=0)).mean() + np.abs(np.diff(whole, axis=1)).mean()) / 3
    assert busyness(tall) == pytest.approx(expected, rel=0.1)


def test_levels_of_known_pictures_as_numbers():
    """Strength and typical busyness are the dial that files are made with."""
    assert [level_from_quality(50, busy) for busy in (3, 9, 15, 20, 25, 60)] == [146, 136, 126, 120, 116, 106]
    assert [level_from_quality(quality, 25) for quality in (5, 10, 80, 95)] == [10, 20, 191, 237]


def test_a_typical_picture_keeps_the_plain_dial():
    assert [level_from_quality(q) for q in (0, 25, 50, 75, 100)] == [0, 63, 126, 189, 252]


def test_busy_pictures_are_coded_lower_and_smooth_ones_higher():
    for quality in (20, 50, 80):
        plain = round(2.52 * quality)
        assert level_from_quality(quality, TYPICAL * np.e) == pytest.approx(plain - 2.52 * STRENGTH, abs=1)
        assert level_from_quality(quality, TYPICAL / np.e) == pytest.approx(plain + 2.52 * STRENGTH, abs=1)


def test_adaptation_has_bounds():
    for busy in (0, 1e-3, 510):
        assert abs(level_from_quality(50, busy) - 126) == round(2.52 * STRENGTH * REACH)


@pytest.mark.parametrize("busy", [0, 5, TYPICAL, 40, 510])
def test_ends_of_the_dial_are_fixed_and_it_never_falls(busy):
    levels = [level_from_quality(quality / 4, busy) for quality in range(401)]
    assert (levels[0], levels[-1]) == (0, 252)
    assert levels == sorted(levels)


@pytest.mark.parametrize("quality", [-0.1, 100.1, float("nan")])
def test_positions_off_the_dial_are_refused(quality):
    with pytest.raises(ValueError, match="between 0 and 100"):
        level_from_quality(quality, 5)


def test_compress_adapts_to_the_picture_and_a_target_does_not(codec):
    def level(amount: int, **options: float) -> int:
        buffer = io.BytesIO()
        Image.fromarray(noisy(amount)).save(buffer, "png")
        return vqcodec.probe(codec.compress(buffer.getvalue(), **options)).level

    smooth, busy = level(1, quality=50), level(60, quality=50)
    assert smooth == level_from_quality(50, busyness(noisy(1))) > 126
    assert busy == level_from_quality(50, busyness(noisy(60))) < 126
    assert level(60, quality=100) == level(1, quality=100) == 252
