"""A command that is told to end (SIGTERM) removes what is half-written and stops its workers on the way."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

TERMINATED = 143
"""Exit code: what shells make of SIGTERM."""


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Within this SIGTERM unwinds as Ctrl-C does, and the process ends with `TERMINATED`."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals cannot be set here
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the way out is not to be cut short
    sys.exit(TERMINATED)
