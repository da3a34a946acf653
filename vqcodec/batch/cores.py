"""How many processor cores there are, how many workers are worth starting, and how many threads each has.

Apart from `vqcodec.batch.workers`, which a process that does all work itself need not import.
"""

from __future__ import annotations

import numbers
import os
import sys

from vqcodec.types import check_kind

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def wait_asleep() -> None:
    """Let torch's threads sleep while they wait for each other, unless the user has set a policy.

    They would spin: beside another busy process a picture then takes several times as long. It works until
    torch is imported, so processes that are ours call it first of all.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cores() -> int:
    """Number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(jobs: int, files: int, device: str = "auto") -> int:
    """Worker processes for `files` files; 1 means that they are not worth starting.

    Args:
        jobs: what was asked for; 0 = one for each core.
        device: as for `vqcodec.load`. Workers run on the CPU; one process does all the work of a GPU.

    Raises:
        TypeError: `jobs` is no whole number.
        ValueError: it is negative.
    """
    check_kind("jobs", jobs, numbers.Integral, "whole number")
    if jobs < 0:
        raise ValueError(f"jobs must be 0 (one for each core) or more, not {jobs}")
    return max(1, min(jobs or cores(), files)) if device in ("auto", "cpu") else 1


def limit_threads(threads: int) -> None:
    """Let this process, a worker, use so many processor cores; to be called before torch is imported."""
    # Read when torch is imported, here with the model.
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    wait_asleep()
    if "torch" in sys.modules:  # the user's own main module imports it
        sys.modules["torch"].set_num_threads(threads)
