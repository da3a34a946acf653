"""Fresh processes to measure in: with a number of threads of their own, and a peak of memory of their own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, which holds `benchmarks`, whatever directory we were started in."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

INSTRUCTION_SETS = {
    "portable": "",
    "neon": "asimddp",
    "avx2": "avx2",
    "avxvnni": "avx_vnni",
    "avx512vnni": "avx512_vnni",
    "amx": "amx_int8",
}
"""What vqcodec's C engine can be held to, and the flag in Linux' cpuinfo that a processor needs for it."""
ENGINES: Mapping[str, Mapping[str, str]] = {
    "": {},
    "torch": {"VQCODEC_ENGINE": "torch"},
    **{name: {"VQCODEC_ENGINE": "native", "VQCODEC_ISA": name} for name in INSTRUCTION_SETS},
}
"""Variables by engine of vqcodec; "" is the one that it takes by itself."""


_RUN = """
import runpy, sys
sys.path[:] = [*filter(None, sys.path), {root!r}]
sys.argv[:] = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""As `python -m`, but with the checkout last: its package would hide an installed one with the C engine."""


def machine(threads: int) -> dict[str, Any]:
    """What figures are taken on."""
    names = {"platform": platform.platform(), "processor": _cpuinfo("model name") or platform.processor()}
    names |= {"python": platform.python_version(), "torch": installed("torch") or "none"}
    return names | {"cores": cores(), "instructions": instruction_sets(), "threads": threads}


def installed(package: str) -> str | None:
    """Version of an installed package, or None; imports nothing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def instruction_sets() -> list[str]:
    """Those of `INSTRUCTION_SETS` that this processor has, as far as the system tells."""
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [name for name, flag in INSTRUCTION_SETS.items() if not flag or flag in flags]


def _cpuinfo(field: str) -> str:
    """A field of the first processor in Linux' cpuinfo; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == field), "")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int, engine: str = "") -> dict[str, str]:
    """Our environment with a number of threads and one of `ENGINES`, for a process yet to be started.

    Modules may be kept compiled, as those of an installed package are: starts are a third slower without.
    """
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**ours, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **ENGINES[engine]}


def program(module: str, *words: str, options: Sequence[str] = ()) -> list[str]:
    """The command that runs a module of ours, or of the installed vqcodec; `options` are Python's."""
    return [sys.executable, *options, "-c", _RUN.format(root=str(ROOT)), module, *words]


def figures_of(module: str, words: Sequence[str], threads: int, engine: str = "") -> dict[str, Any]:
    """What `python -m module words...` prints as JSON, with one of `ENGINES`.

    Raises:
        subprocess.CalledProcessError: it failed; its own message is on stderr.
    """
    done = subprocess.run(
        program(module, *words),
        cwd=ROOT,
        env=environment(threads, engine),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
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
