"""Whether a lossless file could be small, found out in a fiftieth of the time that a photograph is coded in.

It looks at a sample of rows, and at rows that come again; where much was spent on a picture, at nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.image.webp import Pixels, lossless_webp

BAND, EVERY, BANDS = 8, 64, 64
"""The sample has so many rows of every so many, of at most so many places, and two of them at least."""
MARGIN = 4
"""A file is hardly this many times smaller than its sample promises."""
DENSE = 2.0
"""Bits per pixel beyond which nothing is guessed: photographs seldom take as many."""
AGAIN = 0.5
"""If so many rows are seen for the second time, their number says little."""
_WORD = 8


class LosslessGuess:
    """What a sample says of a picture (H, W, 3)."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self._sampled: float | None = None

    def hopeful(self, most: int) -> bool:
        """Whether lossless WebP may take at most so many bytes."""
        height, width = self._pixels.shape[:2]
        return 8 * most > DENSE * height * width or self._size() <= MARGIN * most

    def _size(self) -> float:
        """Bytes of a lossless file made quickly, by the sample; 0 if much of the picture repeats itself."""
        if self._sampled is None:
            pixels = np.ascontiguousarray(self._pixels)
            height = len(pixels)
            starts = np.arange(0, max(height - BAND, 0) + 1, max(EVERY, -(-height // BANDS)))
            if len(starts) > 2:
                sample = pixels[(starts[:, None] + np.arange(BAND)).ravel()]
            else:
                sample = pixels
            size = len(lossless_webp(sample, speed="quick")) * height / len(sample)
            self._sampled = 0.0 if _repeats(pixels) else size
        return self._sampled


def _repeats(pixels: Pixels) -> bool:
    """Whether many rows are equal to others, as far as sums of their bytes with odd weights tell."""
    rows = pixels.reshape(len(pixels), -1)
    words = rows.shape[1] // _WORD
    if not words:
        return True
    numbers: NDArray[np.uint64] = rows[:, : words * _WORD].copy().view(np.uint64)
    weights = np.random.default_rng(0).integers(0, 2**63, words, np.uint64) * np.uint64(2) + np.uint64(1)
    return len(np.unique(numbers @ weights)) < AGAIN * len(rows)
