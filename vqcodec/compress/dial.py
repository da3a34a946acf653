"""The quality dial: 0..100, and how busy the picture is, to the level 0..252 that a file is coded at.

At one level every picture is coded at the same price of a bit, so that noise and foliage take most of a
collection's bits where errors are hardest to see, and smooth pictures show theirs. The dial therefore gives
busy pictures a lower level and smooth ones a higher, by as much as their difference from a typical one. Its
ends stay what they are: quality 0 and 100 are level 0 and 252 for every picture.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vqcodec.types import LEVEL_MAX

STRENGTH = 8.0
"""Quality by which a picture e times as busy as a typical one is coded lower, see `benchmarks.allocation`."""
REACH = 1.0
"""Logarithms of busyness beyond this distance from the typical one count as this."""
END = 0.2
"""Share of the dial at either end over which the adaptation fades."""
TYPICAL = 15.0
"""Busyness of an average training picture."""
ROWS = 256
"""Pairs of rows that are looked at, evenly over the picture."""


def busyness(pixels: NDArray[np.uint8]) -> float:
    """Mean difference of a pixel (H, W, 3) from its right neighbour, and from its lower one, added; 0..510.

    On photographs its logarithm follows that of their size in bits, at equal level.
    """
    height, width = pixels.shape[:2]
    step = -(-height // ROWS)
    rows = _sums(pixels[::step])
    across = np.abs(np.diff(rows, axis=1)).mean() if width > 1 else 0.0
    if height == 1:
        return float(across) / 3
    pairs = len(range(0, height - 1, step))
    lower = _sums(pixels[1::step][:pairs])
    return float(across + np.abs(lower - rows[:pairs]).mean()) / 3


def _sums(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Sums (H, W) of three colours; in a tenth of the time that a sum over the last axis takes."""
    sums = np.add(pixels[:, :, 0], pixels[:, :, 1], dtype=np.int16)
    sums += pixels[:, :, 2]
    return sums


def checked_quality(quality: float) -> float:
    """The position of the dial itself.

    Raises:
        ValueError: it is outside 0..100 or not a number.
    """
    if not 0.0 <= quality <= 100.0:
        raise ValueError(f"quality must be between 0 and 100, not {quality}")
    return quality


def level_from_quality(quality: float, busy: float = TYPICAL) -> int:
    """The level 0..252 for a position of the dial 0..100, and a picture's `busyness`.

    Raises:
        ValueError: as `checked_quality`.
    """
    difference = math.log(max(busy, 1e-6) / TYPICAL)
    lower = STRENGTH * min(max(difference, -REACH), REACH)
    lower *= min(1.0, checked_quality(quality) / (100 * END), (100 - quality) / (100 * END))
    return round((quality - lower) * LEVEL_MAX / 100)
