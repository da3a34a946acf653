"""White backgrounds that stay white, and black ones black: flags of a file, and what a decoder makes of them.

The networks miss pure white by a level or two. Where a picture has much of it and hardly anything that is
nearly white, its file says so, and nearly white samples are decoded as white.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.types import BLACK, NEAR, WHITE

_STEP = 3
"""Every so many rows and columns are looked at."""
_SHARE, _RARE = 0.03, 0.05
"""Share of the pixels that must be pure, and how many may be nearly so for each of them."""


def extremes_of(pixels: NDArray[np.uint8]) -> int:
    """The flags `WHITE` and `BLACK` that suit a picture (H, W, 3)."""
    seen = pixels[::_STEP, ::_STEP]
    least, most = seen.min(2), seen.max(2)
    return (WHITE if _worth(255 - least) else 0) | (BLACK if _worth(most) else 0)


def snapped(pixels: NDArray[np.uint8], flags: int) -> NDArray[np.uint8]:
    """Decoded pixels (h, w, 3) with what is within `NEAR` of white or black in all channels made pure."""
    if flags & WHITE:
        pixels = np.where((pixels.min(2) >= 255 - NEAR)[:, :, None], np.uint8(255), pixels)
    if flags & BLACK:
        pixels = np.where((pixels.max(2) <= NEAR)[:, :, None], np.uint8(0), pixels)
    return pixels


def _worth(distance: NDArray[np.uint8]) -> bool:
    pure = int((distance == 0).sum())
    near = int((distance <= NEAR).sum()) - pure
    return pure >= _SHARE * distance.size and near <= _RARE * pure
