"""The level for a size or a PSNR that was asked for, in a few encodes.

The logarithm of a picture's size, and its PSNR, rise nearly in a straight line with the level. So the first
step from the middle of the dial takes the slope of an average photograph, later ones the line through the
nearest levels tried on either side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from vqcodec.errors import TargetTooHigh, TargetTooSmall
from vqcodec.types import LEVEL_MAX

TRIES = 6
"""Encodes that one search may take."""
SIZE_SLOPE, PSNR_SLOPE = 0.0117, 0.050
"""Per level: of ln(bytes), and of dB. Means over the dial and the development pictures."""

T = TypeVar("T")


@dataclass(frozen=True)
class Tried(Generic[T]):
    """A level that was tried, what was measured there, and what it was measured on."""

    level: int
    value: float
    result: T


@dataclass
class Bracket(Generic[T]):
    """Where a rising function passes a target: the nearest tried levels on either side.

    Attributes:
        below: the highest level tried whose value is at most the target.
        above: the lowest level tried whose value is more.
        last: the level tried last.
    """

    target: float
    slope: float
    below: Tried[T] | None = None
    above: Tried[T] | None = None
    last: Tried[T] | None = None
    tries: int = 0

    def add(self, tried: Tried[T]) -> None:
        """Take note of a level that was tried, and of the slope since the one before."""
        if self.last is not None and self.last.level != tried.level:
            rise = (tried.value - self.last.value) / (tried.level - self.last.level)
            self.slope = rise if 0 < rise < math.inf else self.slope
        self.last = tried
        self.tries += 1
        if tried.value <= self.target:
            if self.below is None or tried.level > self.below.level:
                self.below = tried
        elif self.above is None or tried.level < self.above.level:
            self.above = tried

    def side(self, from_below: bool) -> Tried[T] | None:
        """The level on the side that is wanted."""
        return self.below if from_below else self.above

    def next_level(self) -> int | None:
        """The level to try next; None where no other can come nearer."""
        below, above = self.below, self.above
        if below is not None and above is not None:
            if above.level - below.level <= 1:
                return None
            # The PSNR of a lossless picture is infinite: no line leads there, the middle is as good as any.
            lossless = math.isinf(above.value)
            share = 0.5 if lossless else (self.target - below.value) / (above.value - below.value)
            level = below.level + math.floor(share * (above.level - below.level))
            return min(max(level, below.level + 1), above.level - 1)
        # Further than the line says, and more so each time, so that the other side is found soon.
        more = 3 ** (self.tries - 1)
        if below is not None:
            level = below.level + math.floor((self.target - below.value) / self.slope) + more
            return None if below.level == LEVEL_MAX else min(level, LEVEL_MAX)
        if above is not None:
            down = above.level if math.isinf(above.value) else (above.value - self.target) / self.slope
            level = above.level - math.ceil(down) - more
            return None if above.level == 0 else max(level, 0)
        return LEVEL_MAX // 2


def search(
    measure: Callable[[int], tuple[float, T]], target: float, slope: float, *, from_below: bool
) -> Tried[T]:
    """The level nearest to where `measure` passes `target`, after at most `TRIES` calls.

    Args:
        measure: (value, result) at a level 0..252; the value rises with the level.
        slope: what the value is expected to rise by in a level.
        from_below: the value must be at most the target, else it must be more.

    Returns:
        The nearest level tried on the side that was asked for; where even the end of the dial lies on the
        other side, that end.
    """
    bracket = Bracket[T](target, slope)
    tried = Tried(LEVEL_MAX // 2, *measure(LEVEL_MAX // 2))
    bracket.add(tried)
    for left in range(TRIES - 2, -1, -1):
        level = bracket.next_level()
        if level is None:
            break
        if left == 0 and bracket.side(from_below) is None:
            level = 0 if from_below else LEVEL_MAX
        tried = Tried(level, *measure(level))
        bracket.add(tried)
    return bracket.side(from_below) or tried


def within(compress: Callable[[int], bytes], most: int) -> bytes:
    """The largest file found of at most `most` bytes; `compress` makes the file of a level.

    Raises:
        TargetTooSmall: that of level 0 is larger.
    """

    def size(level: int) -> tuple[float, bytes]:
        data = compress(level)
        return math.log(len(data)), data

    # Half a byte more, so that rounding of logarithms does not decide.
    found = search(size, math.log(most + 0.5), SIZE_SLOPE, from_below=True).result
    if len(found) > most:
        raise TargetTooSmall(f"quality 0 already needs {len(found)} bytes, more than the {most} asked for")
    return found


def reaching(encode: Callable[[int], T], psnr: Callable[[T], float], least: float) -> T:
    """The lowest encoding found whose PSNR is at least `least` dB.

    Raises:
        TargetTooHigh: that of the highest level falls short.
    """

    def quality(level: int) -> tuple[float, T]:
        encoded = encode(level)
        return psnr(encoded), encoded

    found = search(quality, least - 1e-9, PSNR_SLOPE, from_below=False)
    if found.value < least:
        raise TargetTooHigh(f"quality 100 reaches {found.value:.2f} dB, less than the {least:g} asked for")
    return found.result
