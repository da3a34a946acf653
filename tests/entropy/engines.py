"""Which engine works, and with which instructions, for tests that hold one against the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from vqcodec.native.choice import VARIABLE, built

NATIVE: Any = built("_entropy")
ENGINES = ("native", "torch") if NATIVE is not None else ("torch",)


def instruction_sets() -> list[str]:
    """Those that this CPU has."""
    if NATIVE is None:
        return []
    names = ("portable", "neon", "avx2", "avxvnni", "avx512vnni", "amx")
    before = NATIVE.isa()
    found = [name for name in names if NATIVE.choose_isa(name) == name]
    NATIVE.choose_isa(before)
    return found


ISAS = instruction_sets()


@contextmanager
def engine(name: str, threads: int = 1) -> Iterator[None]:
    """Coders, tables and searches made in here are this engine's."""
    with patch.dict(os.environ, {VARIABLE: name, "OMP_NUM_THREADS": str(threads)}):
        yield


@contextmanager
def isa(name: str) -> Iterator[None]:
    """The C engine uses these instructions in here."""
    before = NATIVE.isa()
    NATIVE.choose_isa(name)
    try:
        yield
    finally:
        NATIVE.choose_isa(before)
