"""Runs the jobs of compress and decompress: results, failures and progress as they come; the exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from vqcodec.batch.jobs import FileResult, Job, Work
from vqcodec.batch.run import run_jobs
from vqcodec.types import ImageInfo
from vqcodec_cli.progress import bar_for
from vqcodec_cli.ui import Reporter, failed_object, finish, info_object, label_of


@dataclass(frozen=True)
class Flags:
    """The flags that say how to go through many files."""

    overwrite: bool
    skip_existing: bool
    fail_fast: bool
    as_json: bool
    progress: bool

    def check(self, jobs: Sequence[Job], *, to_stdout: bool) -> None:
        """Refuse flags that contradict each other, or the jobs.

        Args:
            to_stdout: whether a job without an output writes to stdout.

        Raises:
            click.UsageError: they do.
        """
        if self.overwrite and self.skip_existing:
            raise click.UsageError("-f and --skip-existing exclude each other")
        if self.as_json and to_stdout and any(job.output is None for job in jobs):
            raise click.UsageError("--json and a result on stdout exclude each other")


def convert(
    jobs: Sequence[Job],
    work: Work,
    tell: Callable[[FileResult, ImageInfo], None],
    flags: Flags,
    reporter: Reporter,
    workers: int,
) -> int:
    """Do all jobs and return the exit code.

    Args:
        tell: prints the summary of a file that was converted.
        workers: processes, as for `run_jobs`.
    """

    def progress(result: FileResult) -> None:
        if reporter.bar is not None:
            reporter.bar.step()
        name = "-" if result.source is None else str(result.source)
        found = {"file": name, "output": None if result.output is None else str(result.output)}
        if result.error is not None:
            reporter.failure(label_of(result.source), result.error)
            found |= failed_object(result.error, name)
        elif result.info is None:
            found |= {"status": "skipped"}
            if not flags.as_json:
                reporter.line(f"{result.source} skipped, {result.output} exists")
        else:
            for note in result.info.notes:
                reporter.note(label_of(result.source), note)
            found |= info_object(result.info)
            if not flags.as_json:
                tell(result, result.info)
        if flags.as_json:
            reporter.json(found)

    reporter.bar = bar_for(len(jobs), wanted=flags.progress and not reporter.quiet)
    try:
        report = run_jobs(
            jobs,
            work,
            workers=workers,
            overwrite=flags.overwrite,
            skip_existing=flags.skip_existing,
            stop_on_error=flags.fail_fast,
            progress=progress,
        )
    finally:
        if reporter.bar is not None:
            reporter.bar.clear()
            reporter.bar = None
    return finish(report, reporter, len(jobs))
