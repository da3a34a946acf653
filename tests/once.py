"""Work that the workers of pytest-xdist share: one does it, the others wait."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

try:
    import fcntl
except ImportError:  # Windows
    LOCKS = False
else:
    LOCKS = True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time has the lock of a file; it is given back when its process ends."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, if no other process has; each has its own where there are no locks."""
    if not LOCKS:
        folder = folder.with_name(f"{folder.name}-{os.getpid()}")
        if not folder.exists():
            folder.mkdir(parents=True)
            make(folder)
        return folder
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            begun = folder.with_name(f"{folder.name}-begun")
            shutil.rmtree(begun, ignore_errors=True)  # of one that failed
            begun.mkdir()
            make(begun)
            begun.rename(folder)
    return folder


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, once for all workers of a run; tests leave it as it is."""
    base = factory.getbasetemp()
    return made_once((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name, make)
