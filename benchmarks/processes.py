"""Fresh processes to measure in: with a number of threads of their own, and a peak of memory of their own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""The checkout: `-m benchmarks.x` must be run from here, whatever directory we were started in."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def machine(threads: int) -> dict[str, Any]:
    """What figures are taken on."""
    names = {"platform": platform.platform(), "processor": _processor(), "python": platform.python_version()}
    return names | {"torch": importlib.metadata.version("torch"), "threads": threads}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """Our environment with a number of threads, for a process yet to be started."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def figures_of(module: str, words: Sequence[str], threads: int) -> dict[str, Any]:
    """What `python -m module words...` prints as JSON.

    Raises:
        subprocess.CalledProcessError: it failed; its own message is on stderr.
    """
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(threads), check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(done.stdout))


def peak_mib() -> float | None:
    """Peak resident memory of this process, None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count the parent's memory, which a child has until it begins its own program.
        lines = status.read_text(encoding="ascii").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10, 1)
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
