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
    least, most = _of_channels(np.minimum, seen), _of_channels(np.maximum, seen)
    return (WHITE if _worth(255 - least) else 0) | (BLACK if _worth(most) else 0)


def snapped(pixels: NDArray[np.uint8], flags: int) -> NDArray[np.uint8]:
    """Decoded pixels (h, w, 3) with what is within `NEAR` of white or black in all channels made pure."""
    if flags & WHITE:
        pixels = np.where((_of_channels(np.minimum, pixels) >= 255 - NEAR)[:, :, None], np.uint8(255), pixels)
    if flags & BLACK:
        pixels = np.where((_of_channels(np.maximum, pixels) <= NEAR)[:, :, None], np.uint8(0), pixels)
    return pixels


def _worth(distance: NDArray[np.uint8]) -> bool:
    pure = int((distance == 0).sum())
    near = int((distance <= NEAR).sum()) - pure
    return pure >= _SHARE * distance.size and near <= _RARE * pure


def _of_channels(ufunc: np.ufunc, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Least or greatest sample (H, W) of each pixel; over the last axis it takes ten times as long."""
    red, green, blue = (pixels[:, :, channel] for channel in range(3))
    result: NDArray[np.uint8] = ufunc(ufunc(red, green), blue)
    return result
