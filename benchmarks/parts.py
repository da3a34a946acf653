"""Where the time of a call goes, as the profiler sees it: the library keeps no clocks of its own."""

from __future__ import annotations

import cProfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def split(call: Callable[[], object], parts: Mapping[str, Sequence[Callable[..., Any]]]) -> dict[str, float]:
    """Seconds of one call by part, and under "rest" what is in none of them.

    Args:
        parts: Python functions by part; none of them may call another. Parts that take no time are left out.
    """
    profile = cProfile.Profile()
    begun = time.perf_counter()
    profile.runcall(call)
    whole = time.perf_counter() - begun
    taken = {entry.code: entry.totaltime for entry in profile.getstats()}
    seconds = {part: sum(taken.get(f.__code__, 0.0) for f in functions) for part, functions in parts.items()}
    seconds["rest"] = whole - sum(seconds.values())
    return {part: round(value, 5) for part, value in seconds.items() if value}


def vqcodec_parts() -> dict[str, list[Callable[..., Any]]]:
    """The parts of vqcodec; the rest is search, range coder and container."""
    from vqcodec.engine.analysis import Analysis  # noqa: PLC0415  the others need none of these
    from vqcodec.engine.synthesis import Synthesis  # noqa: PLC0415
    from vqcodec.entropy.integer_prior import IntegerPrior  # noqa: PLC0415
    from vqcodec.entropy.native_prior import NativePrior  # noqa: PLC0415

    return {
        "prior": [IntegerPrior.hyper, IntegerPrior.predict, NativePrior.hyper, NativePrior.predict],
        "analysis": [Analysis.__call__],
        "synthesis": [Synthesis.__call__],
    }
