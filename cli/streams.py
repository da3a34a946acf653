"""Standard input and output, files to look at, and the models for them."""

from __future__ import annotations

import errno
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqcodec.batch.jobs import Job
from vqcodec.errors import VQCodecError
from vqcodec.files import Source, write_atomic
from vqcodec_cli.ui import Reporter, combine, exit_code, failed_object, standard_output

if TYPE_CHECKING:
    from vqcodec.loading import ModelCache

STREAM = "-"


def open_models(device: str, reporter: Reporter, **options: Any) -> ModelCache:
    """A cache of models on a device that exists, with a note if it is not the one asked for."""
    from vqcodec.loading import ModelCache, resolve_device  # noqa: PLC0415  imports numpy and Pillow

    if device != "auto":  # `load` settles that, for only it should wait for torch
        device, note = resolve_device(device)
        if note:
            reporter.note(None, note)
    return ModelCache(device=device, **options)


def read_input(job: Job) -> bytes:
    """All bytes of a job's source."""
    # Pillow's remarks are of no use to people converting files: a refusal has its one line.
    warnings.filterwarnings("ignore", module="PIL")
    if not (pillow := logging.getLogger("PIL")).handlers:
        pillow.addHandler(logging.NullHandler())
    return read_stdin() if job.source is None else job.source.read_bytes()


def read_stdin() -> bytes:
    """All bytes of standard input."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer.read()


def write_output(job: Job, data: bytes, preserve: bool = False) -> None:
    """Write a job's result, to a file atomically, with its source's permissions and time if so asked."""
    if job.output is not None:
        write_atomic(job.output, data, job.source.stat() if preserve and job.source else None)
        return
    with standard_output() as stream:
        stream.buffer.write(data)
        stream.buffer.flush()


def inspect_each(inputs: Sequence[str], look: Callable[[str, Source], None], reporter: Reporter) -> int:
    """Call `look(name, source)` for every input, report failures (also as JSON) and return the exit code."""
    codes = []
    for name in inputs:
        try:
            look(name, read_stdin() if name == STREAM else Path(name))
        except (VQCodecError, OSError, MemoryError) as error:
            reporter.failure(name, error)
            if reporter.as_json:
                reporter.json({"file": name, **failed_object(error, name)})
            codes.append(exit_code(error))
    return combine(codes)
