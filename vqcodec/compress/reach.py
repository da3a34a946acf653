"""Pictures beyond the reach of the codebooks, such as noise: which they are, and the best level for them.

There a higher level costs more bits for a worse picture. Levels are compared on a sample of the picture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vqcodec.compress.encoded import Encoded

ERROR_LIMIT, DOUBLES = 50.0, 81
"""Quantisation error, in nats per position of the latent, beyond which a picture's latent lies outside its
codebooks: at level 0; it doubles every so many levels. Photographs stay well below, stripes and
single-pixel patterns do not."""
STEP, LAST_STEPS = 36, (18, 9)
"""Levels that are tried: by such steps down until it gets worse, then around."""
ALIKE = 0.05
"""Levels whose quality differs by at most so many dB are equally good: then the lowest, which costs least."""
SAMPLE, PATCH = 512, 128
"""They are tried on a sample of at most so many pixels a side, of patches of so many pixels."""


def out_of_reach(encoded: Encoded) -> bool:
    """Whether the picture's latent lies where no codeword is near.

    Half the limit (but not less than twice that of level 0) is too much as well where the error is worth more
    than the rate.
    """
    limit = ERROR_LIMIT * 2 ** (encoded.level / DOUBLES)
    return encoded.error > limit or encoded.error > max(2 * ERROR_LIMIT, limit / 2, encoded.rate)


def best_level(level: int, quality: Callable[[int], float]) -> int:
    """The lowest level up to this one that is as good as the best of the few that are tried.

    Args:
        quality: of a level, in dB; asked for several times for some.
    """
    # The same levels whatever was asked for, so that asking for more never gives less.
    best, below = level, (level - 1) // STEP * STEP
    while below >= 0 and quality(below) > quality(best):
        best, below = below, below - STEP
    for step in LAST_STEPS:
        near = [n for n in (best - step, best, best + step) if 0 <= n <= level]
        best = max(near, key=quality)
    enough = quality(best) - ALIKE
    while best > 0 and quality(max(best - STEP, 0)) >= enough:
        best = max(best - STEP, 0)
    return best


def sample_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The sample of a picture (H, W, 3)."""
    return pixels[np.ix_(*(spread(side) for side in pixels.shape[:2]))]


def spread(side: int) -> NDArray[np.intp]:
    """Rows or columns of a sample: all of a small picture, else evenly spread runs of them."""
    if side <= SAMPLE:
        return np.arange(side)
    starts = np.linspace(0, side - PATCH, SAMPLE // PATCH).astype(np.intp)
    return (starts[:, None] + np.arange(PATCH)).ravel()
