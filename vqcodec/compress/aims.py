"""A size or a PSNR that was asked for: the level that meets it, and for what is partly drawn also the plan.

A plan, which coder has which part, is the best for one level. With it fixed, sizes and errors are smooth over
levels. So the level is searched with the plan for a first level, then with the plan for what was found, until
both agree.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from vqcodec.bitstream import Written
from vqcodec.compress import targets
from vqcodec.compress.encoded import Encoded
from vqcodec.errors import TargetTooHigh, TargetTooSmall
from vqcodec.types import LEVEL_MAX

if TYPE_CHECKING:
    from vqcodec.compress.drawn_plan import Plan
    from vqcodec.compress.picture_encoder import PictureEncoder

ROUNDS = 3
"""Plans that are tried."""


@dataclass(frozen=True)
class Coded:
    """A coded picture, and the file of it."""

    encoded: Encoded
    file: Written

    @property
    def level(self) -> int:
        """The level it is coded at."""
        return self.encoded.level

    def __len__(self) -> int:
        return len(self.file)


class _Levelled(Protocol):
    @property
    def level(self) -> int: ...


Found = TypeVar("Found", bound=_Levelled)


def within(coding: PictureEncoder, most: int) -> Written:
    """The best file of at most `most` bytes.

    Raises:
        TargetTooSmall: there is none.
    """
    if not coding.any_drawn:
        return targets.within(_filed(coding, coding.encode), most).file
    exact = coding.lossless_within(LEVEL_MAX, most)
    if exact is not None and len(file := coding.file(exact)) <= most:
        return file

    def aim(plan: Plan, start: int) -> Coded:
        if plan.fixed > most:
            raise targets.too_small(plan.fixed, most)
        planned = _filed(coding, functools.partial(coding.follow, plan))
        return targets.within(planned, most, plan.fixed, start)

    found = _settled(coding, aim, 0) or _without_drawn(coding, most)
    return max(found, key=lambda coded: coding.psnr(coded.encoded)).file if len(found) > 1 else found[0].file


def _without_drawn(coding: PictureEncoder, most: int) -> list[Coded]:
    """Where bytes are too few for what is drawn: the networks for everything, and lossy WebP."""
    plain = replace(coding, drawn=False)
    ways = _filed(plain, plain.encode), _filed(coding, coding.lossy)
    found = []
    for way in ways:
        with contextlib.suppress(TargetTooSmall):
            found.append(targets.within(way, most))
    if not found:
        raise targets.too_small(min(len(way(0)) for way in ways), most)
    return found


def reaching(coding: PictureEncoder, least: float) -> Encoded:
    """The encoding of the lowest level whose PSNR is at least `least` dB, by WebP where no level has it.

    Raises:
        TargetTooHigh: no level has it, and everything is left to the networks.
    """

    def aim(plan: Plan, start: int) -> Encoded:
        return targets.reaching(functools.partial(coding.follow, plan), coding.psnr, least, start)

    if coding.any_drawn:
        found = _settled(coding, aim, LEVEL_MAX)
    else:
        try:
            found = [targets.reaching(coding.encode, coding.psnr, least)]
        except TargetTooHigh:
            if not (coding.drawn and coding.may_be_exact):
                raise
            found = []
    return min(found or _beyond_the_dial(coding, least), key=lambda encoded: encoded.size)


def _beyond_the_dial(coding: PictureEncoder, least: float) -> list[Encoded]:
    """Lossy WebP if that reaches so many dB, and lossless."""
    found = [coding.lossless()]
    with contextlib.suppress(TargetTooHigh):
        found.append(targets.reaching(coding.lossy, coding.psnr, least))
    return found


def _settled(coding: PictureEncoder, aim: Callable[[Plan, int], Found], end: int) -> list[Found]:
    """What an aim gives with the plan of a level, then of the level found, until plans agree.

    Args:
        end: the level that is looked at next where an aim fails.
    """
    found: list[Found] = []
    tried: list[list[str]] = []
    level = LEVEL_MAX // 2
    for _ in range(ROUNDS):
        plan = coding.plan(level)
        if plan.kinds in tried:
            break
        tried.append(plan.kinds)
        level = end
        with contextlib.suppress(TargetTooSmall, TargetTooHigh):
            found.append(aim(plan, plan.level))
            level = found[-1].level
    return found


def _filed(coding: PictureEncoder, encode: Callable[[int], Encoded]) -> Callable[[int], Coded]:
    """What makes the file of a level."""

    def coded(level: int) -> Coded:
        encoded = encode(level)
        return Coded(encoded, coding.file(encoded))

    return coded
