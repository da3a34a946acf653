"""Rate and distortion figures: MSE, PSNR, bits per pixel and Bjontegaard rate differences.

Definitions used everywhere in this project:

* PSNR is taken on 8-bit RGB over all three channels of one picture; that of a data set is the pictures' mean.
* bpp counts every byte of the file, header included, over the pixels of the original.
* BD-rate (Bjontegaard, VCEG-M33) interpolates ln(bpp) over PSNR by PCHIP and integrates the interpolants
  exactly over the PSNR range that both curves cover. Negative means fewer bits than the anchor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


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
    difference = a.astype(np.int32) - b.astype(np.int32)
    # |difference| <= 255, so an int64 sum is exact for any picture that fits in memory.
    return int(np.sum(difference * difference, dtype=np.int64)) / a.size


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


@dataclass(frozen=True)
class RatePoint:
    """One point of a rate-distortion curve.

    Attributes:
        value: PSNR in dB, or another figure that rises with quality.
    """

    bpp: float
    value: float


@dataclass(frozen=True)
class BDRate:
    """A BD-rate and the PSNR range it holds for.

    Attributes:
        percent: mean rate difference against the anchor at equal PSNR; -20 means 20 % fewer bits.
        low, high: the common PSNR range in dB.
    """

    percent: float
    low: float
    high: float


def monotone(points: Iterable[RatePoint]) -> list[RatePoint]:
    """The points in order of rate, without those that spend more bits for no more PSNR.

    Raises:
        ValueError: a rate is not positive, or a value is not finite.
    """
    kept: list[RatePoint] = []
    for point in sorted(points, key=lambda p: (p.bpp, -p.value)):
        if not (math.isfinite(point.bpp) and math.isfinite(point.value) and point.bpp > 0):
            raise ValueError(f"not a point of a rate-distortion curve: {point}")
        if not kept or point.value > kept[-1].value:
            kept.append(point)
    return kept


def bd_rate(anchor: Iterable[RatePoint], test: Iterable[RatePoint]) -> BDRate:
    """Bjontegaard rate difference of `test` against `anchor` (needs scipy).

    Both curves are made monotone first, see `monotone`.

    Raises:
        ValueError: a curve keeps fewer than two points, or the curves share no PSNR range.
        ImportError: scipy is not installed.
    """
    curves = [monotone(anchor), monotone(test)]
    for name, curve in zip(("anchor", "test"), curves, strict=True):
        if len(curve) < 2:
            raise ValueError(f"the {name} curve keeps {len(curve)} point(s); two are needed")
    low = max(curve[0].value for curve in curves)
    high = min(curve[-1].value for curve in curves)
    if low >= high:
        raise ValueError(f"the curves share no PSNR range: from {low:.2f} dB to {high:.2f} dB")
    base, other = (_pchip(curve).integrate(low, high) for curve in curves)
    return BDRate(math.expm1(float(other - base) / (high - low)) * 100.0, low, high)


def _pchip(curve: list[RatePoint]) -> Any:
    """ln(bpp) as a piecewise cubic of PSNR that does not overshoot between the points."""
    try:
        from scipy.interpolate import PchipInterpolator  # noqa: PLC0415  an extra, wanted here only
    except ImportError as error:
        raise ImportError("bd_rate needs scipy: install vqcodec[bench]") from error
    return PchipInterpolator([p.value for p in curve], [math.log(p.bpp) for p in curve], extrapolate=False)
