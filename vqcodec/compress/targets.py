"""The level for a size or a PSNR that was asked for: bisection, helped by lines through what was measured.

The logarithm of a picture's size, and its PSNR, rise nearly in a straight line with the level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

from vqcodec.errors import TargetTooHigh, TargetTooSmall
from vqcodec.types import LEVEL_MAX

TRIES = 11
"""Encodes that one search may take: three more than bisection, so that the first may follow lines."""
SIZE_SLOPE, PSNR_SLOPE = 0.0117, 0.050
"""Per level: of ln(bytes), and of dB, for an average photograph."""

T = TypeVar("T")
File = TypeVar("File", bound=Sized)


@dataclass(frozen=True)
class Tried(Generic[T]):
    """A level that was tried, what was measured there, and what it was measured on."""

    level: int
    value: float
    result: T


def search(
    make: Callable[[int], T],
    value: Callable[[T], float],
    target: float,
    slope: float,
    *,
    from_below: bool,
    start: int = LEVEL_MAX // 2,
) -> Tried[T]:
    """The level next to where a value passes `target`, after at most `TRIES` calls of each function.

    Args:
        make: the result at a level 0..252.
        value: what is measured on a result; it never falls with the level.
        slope: what the value is expected to rise by in a level.
        from_below: find the highest level whose value is at most the target, else the lowest whose is more.
        start: the first level that is tried.

    Returns:
        That level; where there is none, the end of the dial that is nearest to it.
    """
    below: Tried[T] | None = None
    above: Tried[T] | None = None
    low, high, level = -1, LEVEL_MAX + 1, start
    for left in range(TRIES - 1, -1, -1):
        result = make(level)
        tried = Tried(level, value(result), result)
        if tried.value <= target:
            below, low = tried, level
        else:
            above, high = tried, level
        if high - low == 1:
            break
        # Either side of the next level must be small enough for bisection by the tries that are left then.
        most = 2**left // 2
        level = max(low + 1, high - most, min(_guess(below, above, target, slope), high - 1, low + most))
    found = below if from_below else above
    return found or tried


def _guess(below: Tried[T] | None, above: Tried[T] | None, target: float, slope: float) -> int:
    """The level at which the line through two tried levels, or one and the slope, passes the target."""
    # The PSNR of a lossless picture is infinite: no line leads there.
    lossless = above is not None and math.isinf(above.value)
    if below and above:
        share = 0.5 if lossless else (target - below.value) / (above.value - below.value)
        return below.level + math.floor(share * (above.level - below.level))
    # A little further than the line says, so that the next level lies on the other side.
    if below:
        return below.level + math.floor((target - below.value) / slope) + 3
    return above.level - math.ceil((above.value - target) / slope) - 3 if above and not lossless else 0


def within(compress: Callable[[int], File], most: int, fixed: int = 0, start: int = LEVEL_MAX // 2) -> File:
    """The largest file of at most `most` bytes; `compress` makes that of a level.

    Args:
        fixed: bytes that the files of all levels have alike, fewer than `most`; lines go through the others.
        start: the first level that is tried.

    Raises:
        TargetTooSmall: that of level 0 is larger.
    """

    def value(file: File) -> float:
        return math.log(max(len(file) - fixed, 1))

    # Half a byte more, so that rounding of logarithms does not decide.
    target = math.log(max(most - fixed, 0) + 0.5)
    file = search(compress, value, target, SIZE_SLOPE, from_below=True, start=start).result
    if len(file) > most:
        raise too_small(len(file), most)
    return file


def too_small(needed: int, most: int) -> TargetTooSmall:
    """The error for what needs more bytes than were asked for."""
    return TargetTooSmall(f"quality 0 already needs {needed} bytes, more than the {most} asked for")


def reaching(
    encode: Callable[[int], T], psnr: Callable[[T], float], least: float, start: int = LEVEL_MAX // 2
) -> T:
    """The encoding of the lowest level whose PSNR is at least `least` dB.

    Raises:
        TargetTooHigh: that of the highest level falls short.
    """
    found = search(encode, psnr, least - 1e-9, PSNR_SLOPE, from_below=False, start=start)
    if found.value < least:
        raise TargetTooHigh(f"quality 100 reaches {found.value:.2f} dB, less than the {least:g} asked for")
    return found.result
