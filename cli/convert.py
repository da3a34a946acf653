"""What compress and decompress share: from INPUT... to jobs, and the jobs' results as they come."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vqcodec.batch.cores import worker_count
from vqcodec.batch.jobs import INPUT_SUFFIXES, LINKS, FileResult, Job, plan
from vqcodec.batch.run import run_jobs
from vqcodec.types import ImageInfo
from vqcodec_cli.streams import STREAM, open_models
from vqcodec_cli.ui import Bar, Reporter, failed_object, finish, info_object, label_of

if TYPE_CHECKING:
    from vqcodec.loading import ModelCache

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
Tell = Callable[[FileResult, ImageInfo], None]


@dataclass(frozen=True)
class Conversion:
    """The arguments and options that both commands have."""

    reporter: Reporter
    inputs: tuple[str, ...]
    output: str | None
    output_dir: str | None
    force: bool
    skip_existing: bool
    recursive: bool
    preserve: bool
    jobs: int
    fail_fast: bool
    no_progress: bool
    engine: str
    address: str | None
    manifest: str | None
    model: str | None
    device: str

    @classmethod
    def take(cls, reporter: Reporter, options: dict[str, Any]) -> Conversion:
        """Move them out of all options of a command."""
        return cls(reporter, **{field.name: options.pop(field.name) for field in fields(cls)[1:]})

    @property
    def to_stdout(self) -> bool:
        """Whether the result goes to stdout."""
        return self.output == STREAM or (self.output is None and STREAM in self.inputs)

    @property
    def far_models(self) -> ModelCache:
        """Models for workers of a cluster: on the CPU unless a device is named."""
        from vqcodec.loading import ModelCache  # noqa: PLC0415  imports numpy and Pillow

        return ModelCache(device="cpu" if self.device == "auto" else self.device)

    @property
    def workers(self) -> int | None:
        """Workers of a cluster; None = as many as fit."""
        given = click.get_current_context().get_parameter_source("jobs")
        return None if given is ParameterSource.DEFAULT else self.jobs or None

    def check(self) -> None:
        """Refuse options that have no meaning together, whatever INPUT... is.

        Raises:
            click.UsageError: there are such.
        """
        if self.engine != "ray" and (self.address is not None or self.manifest is not None):
            raise click.UsageError("--address and --manifest need --engine ray")
        if self.force and self.skip_existing:
            raise click.UsageError("-f and --skip-existing exclude each other")

    def plan(self, suffix: str, suffixes: Sequence[str], *, dry_run: bool = False) -> list[Job]:
        """Jobs for INPUT..., -o and --output-dir, in this order.

        Those of a dry run have no output, but where it is there and to be skipped.

        Raises:
            click.UsageError: a combination without meaning.
            OSError: nothing was found in the folders, --output-dir is no folder or -o is one, or stdout is a
                terminal.
        """
        self.check()
        if self.output is not None and self.output_dir is not None:
            raise click.UsageError("-o and --output-dir exclude each other")
        if STREAM in self.inputs or self.output is not None:
            jobs = [self._single_job()]
        else:
            jobs = self._plan_files(suffix, suffixes)
        if dry_run:
            return [job if self._skipped(job) else Job(job.source, None, problem=job.problem) for job in jobs]
        if self.to_stdout and self.reporter.as_json:
            raise click.UsageError("--json and a result on stdout exclude each other")
        if self.to_stdout and not self.force and sys.stdout is not None and sys.stdout.isatty():
            raise OSError(errno.EIO, "refusing to write binary data to a terminal (use -f)")
        return jobs

    def run(self, jobs: Sequence[Job], work: Callable[..., ImageInfo], tell: Tell) -> int:
        """Do all jobs and return the exit code.

        Args:
            work: converts a job with the keyword arguments models and model.
            tell: prints the summary of a file that was converted.
        """
        reporter = self.reporter
        workers = worker_count(self.jobs, len(jobs), self.device)
        device = "cpu" if workers > 1 else self.device
        models = open_models(device, reporter)
        with self.bar(len(jobs)):
            report = run_jobs(
                jobs,
                functools.partial(work, models=models, model=self.model),
                workers=workers,
                overwrite=self.force,
                skip_existing=self.skip_existing,
                stop_on_error=self.fail_fast,
                progress=lambda result: self.report(result, tell),
            )
        return finish(report, reporter, len(jobs))

    @contextlib.contextmanager
    def bar(self, files: int) -> Iterator[None]:
        """A progress bar for so many files, on a terminal."""
        reporter = self.reporter
        seen = sys.stderr is not None and sys.stderr.isatty() and not (self.no_progress or reporter.quiet)
        reporter.bar = Bar(files if seen else 0)
        try:
            yield
        finally:
            reporter.bar.clear()
            reporter.bar = Bar(0)

    def _skipped(self, job: Job) -> bool:
        return self.skip_existing and job.output is not None and job.output.is_file()

    def _single_job(self) -> Job:
        if len(self.inputs) > 1:
            raise click.UsageError("-o and - need exactly one input")
        if self.output_dir is not None:
            raise click.UsageError("--output-dir cannot name the output of -")
        source = None if self.inputs[0] == STREAM else Path(self.inputs[0])
        if self.recursive and source is not None and source.is_dir():
            raise click.UsageError("-o cannot name the outputs of a folder, use --output-dir")
        folder = self.output is not None and (Path(self.output).is_dir() or self.output.endswith(_SEPARATORS))
        if folder and not self.to_stdout:
            raise IsADirectoryError(errno.EISDIR, "is a directory (use --output-dir)", self.output)
        return Job(source, None if self.to_stdout or self.output is None else Path(self.output))

    def _plan_files(self, suffix: str, suffixes: Sequence[str]) -> list[Job]:
        folder = self.output_dir
        if folder is not None and Path(folder).exists() and not Path(folder).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "is not a directory", folder)
        left_out: Counter[str] = Counter()
        jobs = plan(
            self.inputs, folder, suffix, recursive=self.recursive, suffixes=suffixes, left_out=left_out
        )
        self.note_left_out(suffixes, left_out)
        if not jobs:
            reason = f"no files ending in {', '.join(suffixes)}"
            raise FileNotFoundError(errno.ENOENT, reason, self.inputs[0])
        return jobs

    def note_left_out(self, suffixes: Sequence[str], left_out: Counter[str]) -> None:
        """Tell which files of folders are not taken for pictures, and which folders are not searched."""
        if links := left_out.pop(LINKS, 0):
            self.reporter.note(None, f"links to folders left out: {links}")
        if suffixes is INPUT_SUFFIXES and left_out:
            listed = ", ".join(f"{name or 'none'} ({count})" for name, count in sorted(left_out.items()))
            self.reporter.note(None, f"files with other suffixes left out: {listed}")

    def report(self, result: FileResult, tell: Tell) -> None:
        """One result as lines on stderr, or as JSON on stdout."""
        reporter = self.reporter
        reporter.bar.step()
        name, label = str(result.source or STREAM), label_of(result.source)
        found = {"file": name, "output": None if result.output is None else str(result.output)}
        if result.error is not None:
            reporter.failure(label, result.error)
            found |= failed_object(result.error, name)
        elif result.info is None:
            found |= {"status": "skipped"}
            if not reporter.as_json:
                reporter.line(f"{result.source} skipped, {result.output} exists")
        else:
            for note in result.info.notes:
                reporter.note(label, note)
            found |= info_object(result.info)
            if not reporter.as_json:
                tell(result, result.info)
        if reporter.as_json:
            reporter.json(found)
