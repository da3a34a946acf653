"""Modules of `benchmarks.robustness`, and the tiny model that they code with."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest

from vqcodec.codec import Codec


@pytest.fixture(scope="session")
def room() -> Callable[[str], ModuleType]:
    """Imports one of them by name."""
    return lambda name: importlib.import_module(f"benchmarks.robustness.{name}")


@pytest.fixture(scope="session")
def tiny(room) -> Codec:
    found: Codec = room("samples").load()
    return found
