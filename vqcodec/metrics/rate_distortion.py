"""Rate and distortion of one picture: MSE, PSNR and bits per pixel.

MSE  = mean of (a - b)^2 over all samples, all three channels of 8-bit RGB together
PSNR = 10 log10(255^2 / MSE) dB; that of a data set is the mean over its pictures
bpp  = 8 x bytes of the whole file, header included / (width x height of the original)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

STRIP = 256
"""Rows that are compared at a time: their differences take four times the memory of the pixels."""


def mse(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Mean squared error of two uint8 arrays (H, W, C) or (H, W), in squared code values.

    Raises:
        TypeError: an array is not uint8.
        ValueError: the shapes differ or the arrays are empty.
    """
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise TypeError(f"mse wants uint8 arrays, not {a.dtype} and {b.dtype}")
    if a.shape != b.shape:
        raise ValueError(f"mse wants arrays of one shape, not {a.shape} and {b.shape}")
    if a.size == 0:
        raise ValueError("mse of empty arrays is undefined")
    total = 0
    for top in range(0, len(a), STRIP):
        difference = a[top : top + STRIP].astype(np.int32)
        difference -= b[top : top + STRIP]
        # |difference| <= 255, so an int64 sum is exact for any picture that fits in memory.
        total += int(np.sum(difference * difference, dtype=np.int64))
    return total / a.size


def psnr(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 arrays of one shape; `inf` when they are equal.

    Raises:
        TypeError, ValueError: as `mse`.
    """
    error = mse(a, b)
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


def bpp(file_bytes: int, width: int, height: int) -> float:
    """Bits per pixel of a whole file of `file_bytes` bytes.

    Raises:
        ValueError: a side is not positive, or the size is negative.
    """
    if width <= 0 or height <= 0 or file_bytes < 0:
        raise ValueError(f"no bpp for {file_bytes} bytes and {width}x{height} pixels")
    return 8.0 * file_bytes / (width * height)
