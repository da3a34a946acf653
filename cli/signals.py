"""A command that is told to end (SIGTERM, SIGHUP) removes what is half-written and stops its workers."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Within this SIGTERM unwinds as Ctrl-C does, and the process ends with 143, what shells make of it.

    So does SIGHUP, of a terminal that is closed, with 129; but not under nohup.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals cannot be set here
        return
    meant = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _leave) for number in meant}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    for ignored in _SIGNALS:  # once is enough: the way out is not to be cut short
        signal.signal(ignored, signal.SIG_IGN)
    sys.exit(128 + number)
