"""Torch in a child made by fork: the threads that it used stayed behind, and waiting for them never ends."""

from __future__ import annotations

import functools
import os
import sys


@functools.cache
def one_thread_after_forks() -> None:
    """Let children that are forked from now on use torch on one thread; called where a model first needs it.

    On a graphics card a child cannot go on at all, which torch itself tells by a RuntimeError.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    set_threads = getattr(sys.modules.get("torch"), "set_num_threads", None)
    if set_threads is not None:  # None where another thread was still importing it
        set_threads(1)
