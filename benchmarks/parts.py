"""Where the time of a call goes, by clocks around vqcodec's own stages: the library keeps none of its own.

The stages are those of either engine. They are told by the wall clock of the thread that calls, which waits
for the threads that compute; what a graphics card still computes is charged to the stage that fetches it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import vqcodec

Methods = Sequence[tuple[Any, str]]
"""Owners, classes or modules, and names of their functions."""
REST = "rest"


@dataclass
class Clock:
    """Seconds by part. A part's clock stands still while another part runs inside it."""

    seconds: dict[str, float] = field(default_factory=dict)
    _running: list[str] = field(default_factory=lambda: [REST])
    _since: float = field(default_factory=time.perf_counter)

    def stop(self) -> None:
        """Charge the time since the last change to the part that ran."""
        now = time.perf_counter()
        part = self._running[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time charged to a part."""

        @functools.wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            self.stop()
            self._running.append(part)
            try:
                return function(*args, **options)
            finally:
                self.stop()
                self._running.pop()

        return timed


def split(call: Callable[[], object], parts: Mapping[str, Methods]) -> dict[str, float]:
    """Seconds of one call by part, in the order of `parts`, and under "rest" what is in none of them.

    Args:
        parts: functions by part, which the call finds through their owners. Parts that do not run are
            left out.
    """
    with ExitStack() as clocks:
        clock = Clock()
        for part, methods in parts.items():
            for owner, name in methods:
                timed = clock.around(part, getattr(owner, name))
                clocks.enter_context(mock.patch.object(owner, name, timed))
        clock.stop()
        clock.seconds.clear()  # setting clocks up is not the call
        call()
        clock.stop()
    return {part: round(clock.seconds[part], 5) for part in (*parts, REST) if part in clock.seconds}


def vqcodec_parts(codec: vqcodec.Codec) -> dict[str, Methods]:
    """The parts of a codec's time; the rest is reading pictures, colour and container.

    analysis: pixels to the latent. search: hyper-analysis and choice of codewords. prior: means and classes,
    in decoding with looking codewords up. coder: symbols to words and back. synthesis: latent to pixels.
    """
    from vqcodec.entropy.range_coder import SegmentReader  # noqa: PLC0415  no codec has one before it decodes

    encoder, coder = type(codec.encoder), type(codec.model.coder)
    prior = type(codec.model.coder.prior)
    steps = [name for name in ("hyper", "open", "predict", "learn", "settle") if hasattr(prior, name)]
    return {
        "analysis": [(encoder, "analyse")],
        "search": [(encoder, "code")],
        "prior": [*((prior, name) for name in steps), (coder, "decode")],
        "coder": [(coder, "write"), (SegmentReader, "read"), (SegmentReader, "finish")],
        "synthesis": [(type(codec.model.g_s), "__call__")],
    }
