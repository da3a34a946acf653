"""Files to convert: where each result goes, and one of them done or failed. Knows no codec."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqcodec.errors import VQCodecError
from vqcodec.files import PathLike, same_file
from vqcodec.types import ImageInfo

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


Work = Callable[[Job], ImageInfo]
"""Converts one file."""


def do_job(job: Job, *, work: Work, overwrite: bool = False, skip_existing: bool = False) -> FileResult:
    """Do one job; expected failures go into the result, programming errors are raised.

    Args:
        overwrite: replace an output that exists instead of failing.
        skip_existing: leave a job alone whose output exists.
    """
    try:
        info = work(job) if _prepare(job, overwrite, skip_existing) else None
        return FileResult(job.source, job.output, info)
    except (VQCodecError, OSError, MemoryError, RuntimeError) as error:
        # RuntimeError is how torch reports exhaustion.
        return FileResult(job.source, job.output, error=error)


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
        ValueError: two inputs would become the same output (names that differ in case only may).
        OSError: a folder cannot be read.
    """
    jobs: dict[Path, Job] = {}
    for path in map(Path, paths):
        if path.is_dir() and recursive:
            files, root = list(_walk(path, suffixes)), path
        else:
            files, root = [path], path.parent
        for file in files:
            base = file if output_dir is None else Path(output_dir) / file.relative_to(root)
            known = file.suffix.lower() in suffixes
            output = base.with_suffix(suffix) if known else base.with_name(base.name + suffix)
            if (other := jobs.get(output.absolute())) is not None:
                raise ValueError(f"{other.source} and {file} would both become {output}")
            jobs[output.absolute()] = Job(file, output, make_parents=output_dir is not None)
    return list(jobs.values())


def _prepare(job: Job, overwrite: bool, skip_existing: bool) -> bool:
    """Whether the job is to be done; makes the output's folder if so.

    Raises:
        OSError: the source is a folder, or the output may not be written.
    """
    if job.source is not None and job.source.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory (use -r to search it)", str(job.source))
    if job.output is None:
        return True
    if job.source is not None and same_file(job.source, job.output):
        raise FileExistsError(errno.EEXIST, "would overwrite its own source", str(job.output))
    if job.output.is_file():
        if skip_existing:
            return False
        if not overwrite:
            raise FileExistsError(errno.EEXIST, "exists already (use -f to overwrite)", str(job.output))
    if job.make_parents and (job.source is None or job.source.exists()):
        job.output.parent.mkdir(parents=True, exist_ok=True)
    return True


def _walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), suffixes)
        elif Path(entry.name).suffix.lower() in suffixes and entry.is_file():
            yield Path(entry.path)
