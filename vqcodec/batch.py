"""Many files, one after the other: where each result goes, going on after a failure, and a report.

    paths --plan--> jobs --run_jobs(work)--> BatchReport

`compress_batch` and `decompress_batch` are these two steps with a codec as the work; the command line uses
the same steps with work of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqcodec.errors import VQCodecError
from vqcodec.files import PathLike, same_file
from vqcodec.types import ImageInfo

if TYPE_CHECKING:
    from vqcodec.codec import Codec

VQC_SUFFIX = ".vqc"
INPUT_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga", ".qoi"),
)
"""What is taken for a picture when a folder is searched."""


@dataclass(frozen=True)
class Job:
    """One file to convert. None stands for a stream: standard input or output."""

    source: Path | None
    output: Path | None
    make_parents: bool = False


@dataclass(frozen=True)
class FileResult:
    """What became of one job: `info` when done, `error` when failed, neither when skipped."""

    source: Path | None
    output: Path | None
    info: ImageInfo | None = None
    error: Exception | None = None

    @property
    def skipped(self) -> bool:
        """Whether the output was there already."""
        return self.info is None and self.error is None


@dataclass(frozen=True)
class BatchReport:
    """Results in the order of the inputs."""

    results: tuple[FileResult, ...]

    @property
    def done(self) -> tuple[FileResult, ...]:
        """Files converted."""
        return tuple(result for result in self.results if result.info is not None)

    @property
    def failed(self) -> tuple[FileResult, ...]:
        """Files with an error."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def skipped(self) -> tuple[FileResult, ...]:
        """Files left alone because their output exists."""
        return tuple(result for result in self.results if result.skipped)


def compress_batch(
    paths: Iterable[PathLike],
    output_dir: PathLike | None = None,
    *,
    codec: Codec | None = None,
    recursive: bool = True,
    overwrite: bool = False,
    skip_existing: bool = False,
    on_error: str = "continue",
    progress: Callable[[FileResult], None] | None = None,
    **options: Any,
) -> BatchReport:
    """Compress many pictures.

    Args:
        paths: files, and folders to be searched for pictures.
        output_dir: mirrors the tree below each folder; None writes beside the sources.
        codec: a `Codec`; None loads the default model.
        recursive: search folders; otherwise they fail.
        overwrite: replace outputs that exist instead of failing for these files.
        skip_existing: leave sources whose output exists alone.
        on_error: "continue" with the next file, or "raise".
        progress: called after each file.
        options: as for `Codec.compress`.

    Raises:
        ValueError: two inputs would become the same output, or a bad option.
        OSError: a folder cannot be read.
    """
    jobs = plan(paths, output_dir, VQC_SUFFIX, recursive=recursive, suffixes=INPUT_SUFFIXES)
    loaded = codec or _default_codec()

    def work(job: Job) -> ImageInfo:
        return loaded.compress_file(job.source, job.output or "", **options)

    return _run_library(jobs, work, overwrite, skip_existing, on_error, progress)


def decompress_batch(
    paths: Iterable[PathLike],
    output_dir: PathLike | None = None,
    *,
    codec: Codec | None = None,
    suffix: str = ".png",
    recursive: bool = True,
    overwrite: bool = False,
    skip_existing: bool = False,
    on_error: str = "continue",
    progress: Callable[[FileResult], None] | None = None,
    **options: Any,
) -> BatchReport:
    """Decompress many .vqc files to pictures with `suffix`; the rest as `compress_batch`.

    `options` as for `Codec.decompress_file`.
    """
    jobs = plan(paths, output_dir, suffix, recursive=recursive, suffixes=(VQC_SUFFIX,))
    loaded = codec or _default_codec()

    def work(job: Job) -> ImageInfo:
        return loaded.decompress_file(job.source or "", job.output or "", **options)

    return _run_library(jobs, work, overwrite, skip_existing, on_error, progress)


def plan(
    paths: Iterable[PathLike],
    output_dir: PathLike | None,
    suffix: str,
    *,
    recursive: bool,
    suffixes: Sequence[str],
) -> list[Job]:
    """Decide the output of every input. Missing files, and folders unless `recursive`, fail at their turn.

    Args:
        paths: files and folders.
        output_dir: None = beside the sources.
        suffix: replaces that of the sources if it is one of `suffixes`, otherwise is appended.
        recursive: search folders for files that end in one of `suffixes`, in sorted order.
        suffixes: lower case, with their dots.

    Raises:
        ValueError: two inputs would become the same output.
        OSError: a folder cannot be read.
    """
    jobs = []
    for path in map(Path, paths):
        if path.is_dir() and recursive:
            files, root = list(_walk(path, suffixes)), path
        else:
            files, root = [path], path.parent
        for file in files:
            base = file if output_dir is None else Path(output_dir) / file.relative_to(root)
            known = file.suffix.lower() in suffixes
            output = base.with_suffix(suffix) if known else base.with_name(base.name + suffix)
            jobs.append(Job(file, output, make_parents=output_dir is not None))
    _refuse_collisions(jobs)
    return jobs


def run_jobs(
    jobs: Iterable[Job],
    work: Callable[[Job], ImageInfo],
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
    stop_on_error: bool = False,
    progress: Callable[[FileResult], None] | None = None,
) -> BatchReport:
    """Do `work` for each job; an expected failure of one file does not stop the others.

    Programming errors (TypeError, ValueError, ...) are not caught.
    """
    results: list[FileResult] = []
    for job in jobs:
        result = _run_one(job, work, overwrite, skip_existing)
        results.append(result)
        if progress is not None:
            progress(result)
        if stop_on_error and result.error is not None:
            break
    return BatchReport(tuple(results))


def _run_one(job: Job, work: Callable[[Job], ImageInfo], overwrite: bool, skip_existing: bool) -> FileResult:
    try:
        if job.source is not None and job.source.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a directory (use -r to search it)", str(job.source))
        if job.output is not None:
            if job.source is not None and same_file(job.source, job.output):
                raise FileExistsError(errno.EEXIST, "would overwrite its own source", str(job.output))
            if job.output.is_file():
                if skip_existing:
                    return FileResult(job.source, job.output)
                if not overwrite:
                    raise FileExistsError(
                        errno.EEXIST, "exists already (use -f to overwrite)", str(job.output)
                    )
            if job.make_parents and (job.source is None or job.source.exists()):
                job.output.parent.mkdir(parents=True, exist_ok=True)
        return FileResult(job.source, job.output, work(job))
    except (
        VQCodecError,
        OSError,
        MemoryError,
        RuntimeError,
    ) as error:  # torch reports exhaustion as RuntimeError
        return FileResult(job.source, job.output, error=error)


def _run_library(
    jobs: Sequence[Job],
    work: Callable[[Job], ImageInfo],
    overwrite: bool,
    skip_existing: bool,
    on_error: str,
    progress: Callable[[FileResult], None] | None,
) -> BatchReport:
    if on_error not in ("continue", "raise"):
        raise ValueError(f"on_error must be continue or raise, not {on_error!r}")
    report = run_jobs(
        jobs,
        work,
        overwrite=overwrite,
        skip_existing=skip_existing,
        stop_on_error=on_error == "raise",
        progress=progress,
    )
    for result in report.failed:
        if on_error == "raise" and result.error is not None:
            raise result.error
    return report


def _walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), suffixes)
        elif Path(entry.name).suffix.lower() in suffixes and entry.is_file():
            yield Path(entry.path)


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise ValueError if two jobs have one output; names that differ in case only are not looked for."""
    seen: dict[Path, Path | None] = {}
    for job in jobs:
        if job.output is None:
            continue
        key = job.output.absolute()
        if key in seen:
            raise ValueError(f"{seen[key]} and {job.source} would both become {job.output}")
        seen[key] = job.source


def _default_codec() -> Codec:
    from vqcodec.loading import load  # noqa: PLC0415  imports torch

    return load()
