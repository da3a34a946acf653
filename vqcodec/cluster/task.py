"""What the workers of a job are told once: where from, where to, and what to do to each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vqcodec.batch.jobs import VQC_SUFFIX
from vqcodec.cluster.storage import Storage
from vqcodec.cluster.units import Layout
from vqcodec.errors import VQCodecError
from vqcodec.types import ImageInfo

Work = Callable[[bytes], "tuple[bytes, ImageInfo]"]
"""A file to another, with a description of the .vqc file; survives pickling."""


EXPECTED = (VQCodecError, OSError, MemoryError, RuntimeError)
"""Errors that fail a file; others are the caller's, or ours, and end the job. RuntimeError is how torch
reports exhaustion."""


@dataclass(frozen=True)
class Task:
    """One job's constants. Survives pickling.

    Attributes:
        run: names this run; begins the names of its temporary files.
        started: when it began, in ns by the destination's clock: what is newer was made by this run.
        suffix: of results, with its dot.
        inputs: suffixes of what is looked for in shards.
        layout: of the destination.
        column: of a table, that holds the pictures; None = the first that could.
        folder: that relative names are meant in.
        threads: processor cores of each worker.
        preserve: give results the permissions and times of their sources, where both are of one machine.
    """

    work: Work
    source: Storage
    destination: Storage
    run: str
    started: int
    suffix: str = VQC_SUFFIX
    inputs: tuple[str, ...] = ()
    layout: Layout = "files"
    column: str | None = None
    folder: str = "."
    threads: int = 1
    overwrite: bool = False
    skip_existing: bool = False
    preserve: bool = False
