"""Which engine works: C extensions where they were built, or numpy (with torch for what is large).

VQCODEC_ENGINE in the environment asks for one of them, "native" or "torch". Both give the same indices.
"""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType
from typing import Any

from vqcodec.errors import VQCodecError

ENGINES = ("native", "torch")
VARIABLE = "VQCODEC_ENGINE"
PLAIN = "portable"
"""The instruction set of plain C."""


def built(name: str) -> ModuleType | None:
    """The extension module vqcodec.native.`name`, or None where it was not built."""
    try:
        return importlib.import_module(f"vqcodec.native.{name}")
    except ImportError:
        return None


def extension(name: str) -> Any:
    """The extension module of this name if it is to be used, else None.

    Raises:
        VQCodecError: the environment asks for the C engine, which was not built, or for one unknown.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", *ENGINES):
        raise VQCodecError(f"{VARIABLE} must be one of {', '.join(ENGINES)}, not {wanted!r}")
    if wanted == "torch":
        return None
    module = built(name)
    if module is None and wanted == "native":
        raise VQCodecError(f"{VARIABLE} asks for the C engine, but vqcodec was installed without it ({name})")
    return module


def kernels() -> Any:
    """`vqcodec.native._kernels` if the transforms are to run on it, else None.

    Without vector instructions torch is five times as fast, so C is for who asks for it there.

    Raises:
        VQCodecError: as `extension`.
    """
    module = extension("_kernels")
    slow = module is not None and module.isa() == PLAIN and not os.environ.get(VARIABLE)
    return None if slow else module


def engine() -> str:
    """The engine that runs the transforms, for people: "torch", or "native" with its instruction set.

    Raises:
        VQCodecError: as `extension`.
    """
    module = kernels()
    return "torch" if module is None else f"native ({module.isa()})"


def threads() -> int:
    """How many threads the C engine may use: OMP_NUM_THREADS, else as many as this process has processors."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else _processors()


@functools.cache
def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def entropy_extension() -> Any:
    """`vqcodec.native._entropy` if it is to be used, else None; raises as `extension` does."""
    return extension("_entropy")
