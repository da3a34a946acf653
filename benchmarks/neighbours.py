"""Processes that keep a core busy while something else is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.processes import environment, installed

_LOOP = """
import os
{prepare}
parent = os.getppid()
print("busy", flush=True)
while os.getppid() == parent:  # so that it never outlives an interrupted benchmark
    {work}
"""
NEIGHBOURS = {
    "python": _LOOP.format(prepare="", work="sum(range(10_000))"),
    "torch": _LOOP.format(prepare="import torch\na = torch.rand(768, 768)", work="torch.mm(a, a)"),
}
"""Programs by name: a loop of Python, and one of matrix products, on one thread each."""


def available(name: str) -> bool:
    """Whether a neighbour's library is installed."""
    return name != "torch" or installed("torch") is not None


@contextmanager
def busy(name: str) -> Iterator[None]:
    """Within this one of `NEIGHBOURS` runs, already busy; "" stands for none.

    Raises:
        subprocess.CalledProcessError: it ended before it was busy; its own message is on stderr.
    """
    if not name:
        yield
        return
    command = [sys.executable, "-c", NEIGHBOURS[name]]
    with subprocess.Popen(command, env=environment(1), stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise subprocess.CalledProcessError(process.wait(), command[:1])
            yield
        finally:
            process.kill()
