"""BD-rate: the mean rate difference of two rate-distortion curves at equal quality.

Bjontegaard, "Calculation of average PSNR differences between RD-curves" (VCEG-M33, 2001), with piecewise
cubic interpolation (PCHIP) in place of one cubic: ln(bpp) is interpolated over PSNR and integrated exactly
over the PSNR range [low, high] that both curves cover,

    BD-rate = exp( integral of (ln r_test - ln r_anchor) d PSNR / (high - low) ) - 1

Negative means fewer bits than the anchor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


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
    """BD-rate of `test` against `anchor` (needs scipy); both curves go through `monotone` first.

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
