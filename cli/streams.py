"""Standard input and output, and turning a command's arguments into jobs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from vqcodec.batch.jobs import Job, plan
from vqcodec.errors import VQCodecError
from vqcodec.files import Source, write_atomic
from vqcodec_cli.ui import Reporter, combine, exit_code, failed_object

STREAM = "-"


def make_jobs(
    inputs: Sequence[str],
    output: str | None,
    output_dir: str | None,
    suffix: str,
    *,
    recursive: bool,
    suffixes: Sequence[str],
) -> list[Job]:
    """Jobs for INPUT..., -o and --output-dir; the order of the inputs is kept.

    Raises:
        click.UsageError: a combination without meaning, or two inputs with one output.
        OSError: nothing was found in the folders, or --output-dir is no folder.
    """
    if output is not None and output_dir is not None:
        raise click.UsageError("-o and --output-dir exclude each other")
    if STREAM in inputs or output is not None:
        if len(inputs) > 1:
            raise click.UsageError("-o and - need exactly one input")
        if output_dir is not None:
            raise click.UsageError("--output-dir cannot name the output of -")
        return [_single(inputs[0], output, recursive)]
    if output_dir is not None and Path(output_dir).exists() and not Path(output_dir).is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", output_dir)
    try:
        jobs = plan(inputs, output_dir, suffix, recursive=recursive, suffixes=suffixes)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not jobs:
        raise FileNotFoundError(errno.ENOENT, f"no files ending in {', '.join(suffixes)}", inputs[0])
    return jobs


def read_input(job: Job) -> bytes:
    """All bytes of a job's source."""
    if job.source is None:
        return sys.stdin.buffer.read()
    return job.source.read_bytes()


def write_output(job: Job, data: bytes) -> None:
    """Write a job's result, to a file atomically."""
    if job.output is not None:
        write_atomic(job.output, data)
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def inspect_each(
    inputs: Sequence[str],
    look: Callable[[str, Source], None],
    reporter: Reporter,
    *,
    as_json: bool = False,
) -> int:
    """Call `look(name, source)` for every input, report failures (also as JSON) and return the exit code."""
    codes = []
    for name in inputs:
        try:
            look(name, sys.stdin.buffer.read() if name == STREAM else Path(name))
        except BrokenPipeError:
            raise  # our own output's reader went away, no file is to blame
        except (VQCodecError, OSError, MemoryError) as error:
            reporter.failure(name, error)
            if as_json:
                reporter.json({"file": name, **failed_object(error, name)})
            codes.append(exit_code(error))
    return combine(codes)


def refuse_terminal(jobs: Sequence[Job], force: bool) -> None:
    """Refuse to fill a terminal with binary data.

    Raises:
        OSError: stdout is a terminal, and -f is not given.
    """
    if not force and any(job.output is None for job in jobs) and sys.stdout.isatty():
        raise OSError(errno.EIO, "refusing to write binary data to a terminal (use -f)")


def _single(source: str, output: str | None, recursive: bool) -> Job:
    if recursive and source != STREAM and Path(source).is_dir():
        raise click.UsageError("-o cannot name the outputs of a folder, use --output-dir")
    target = STREAM if output is None else output
    return Job(
        None if source == STREAM else Path(source),
        None if target == STREAM else Path(target),
    )
