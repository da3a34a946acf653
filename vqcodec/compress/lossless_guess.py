"""Whether a lossless file could be small, found out in a fiftieth of the time that a photograph is coded in.

It looks at a sample of rows, by WebP's quickest setting, which is right of photographs. Of what is simple
that may take a hundred times too much; so for what has slopes, or a small sample, the usual setting is taken,
and what has equal rows, farther apart than a sample's, is always hopeful.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.compress.drawn_blocks import LARGE_TILE, sloping
from vqcodec.image.webp import Pixels, lossless_webp

BAND, EVERY, BANDS = 8, 128, 64
"""The sample has so many rows of every so many, of at most so many places, and two of them at least."""
MARGIN = 4
"""What is made quickly of anything that is not simple is hardly more times as large as it could be, nor is a
sample of what is."""
DENSE, SIMPLE = 2.0, 2.5
"""Bits per pixel beyond which no sample is taken, for photographs seldom have as many; and below which a
picture is simple."""
AGAIN = 0.5
"""If so many rows are seen for the second time, samples say nothing."""
REACH = 2**20
"""Pixels that WebP looks back: a mirrored or tiled photograph of larger parts is no simpler than one."""
LEAST = 20
"""Bytes of the smallest image data."""
_WORD = 8


class LosslessGuess:
    """What a sample says of a picture (H, W, 3)."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self._area = pixels.shape[0] * pixels.shape[1]
        self._repeated: bool | None = None
        self._simple = False
        self._sampled: dict[str, float] = {}

    def hopeful(self, most: int) -> bool:
        """Whether lossless WebP may take at most so many bytes."""
        return 8 * most > DENSE * self._area or not self.clearly_more(self._sample(), most)

    def clearly_more(self, quick: float, most: int) -> bool:
        """Whether lossless WebP needs more than so many bytes, by the size of a file made quickly."""
        if quick <= MARGIN * most:
            return False
        if self._repeated is None:
            self._repeated = _repeats(np.ascontiguousarray(self._pixels))
            self._simple = 8 * quick <= SIMPLE * self._area or sloping(self._pixels)
        if self._repeated:
            return False
        return not self._simple or self._sample("usual") > MARGIN * most

    def _sample(self, speed: str = "quick") -> float:
        """Bytes of a file made in this way, by a sample."""
        if speed not in self._sampled:
            height, sample = len(self._pixels), self._pixels
            starts = np.arange(0, max(height - BAND, 0) + 1, max(EVERY, -(-height // BANDS)))
            if len(starts) > 2:
                sample = sample[(starts[:, None] + np.arange(BAND)).ravel()]
            size = max(len(lossless_webp(sample, speed=speed)) - LEAST, 0)
            self._sampled[speed] = LEAST + size * height / len(sample)
        return self._sampled[speed]


def _repeats(pixels: Pixels) -> bool:
    """Whether many rows are equal to others in reach, as far as sums of their bytes with odd weights tell."""
    rows = pixels.reshape(len(pixels), -1)
    words = rows.shape[1] // _WORD
    if not words:
        return True
    numbers: NDArray[np.uint64] = rows[:, : words * _WORD].copy().view(np.uint64)
    weights = np.random.default_rng(0).integers(0, 2**63, words, np.uint64) * np.uint64(2) + np.uint64(1)
    sums = numbers @ weights
    order = np.argsort(sums, kind="stable")
    equal = sums[order[1:]] == sums[order[:-1]]
    near = np.diff(order) * min(pixels.shape[1], LARGE_TILE) <= REACH
    return int(np.count_nonzero(equal & near)) > (1 - AGAIN) * len(rows)
