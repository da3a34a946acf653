"""Files to convert: where each result goes, and one of them done or failed. Knows no codec."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqcodec.errors import VQCodecError
from vqcodec.files import PathLike, check_writable, exists_already, is_folder, listed, same_file, several
from vqcodec.types import ImageInfo

VQC_SUFFIX = ".vqc"
INPUT_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".webp", ".avif", ".tif", ".tiff"),
    *(".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi", ".pcx"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
)
"""What is taken for a picture when a folder is searched."""

LINKS = "/"
"""Counts the links to folders among the suffixes of what is left out."""


@dataclass(frozen=True)
class Job:
    """One file to convert. None stands for a stream: standard input or output.

    Attributes:
        make_parents: make the output's folder.
        problem: what was found in planning; it fails this job, and no other.
    """

    source: Path | None
    output: Path | None
    make_parents: bool = False
    problem: OSError | None = None


@dataclass(frozen=True)
class FileResult:
    """What became of one job: `info` when done, `error` when failed, neither when skipped.

    Names that are no paths of this machine are text: s3://bucket/a.png, or shard.tar#a.png.
    """

    source: Path | str | None
    output: Path | str | None
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
        info = work(job) if is_wanted(job, overwrite, skip_existing) else None
        return FileResult(job.source, job.output, info)
    except (VQCodecError, OSError, MemoryError, RuntimeError) as error:
        # RuntimeError is how torch reports exhaustion.
        return FileResult(job.source, job.output, error=error)


def plan(
    paths: PathLike | Iterable[PathLike],
    output_dir: PathLike | None,
    suffix: str,
    *,
    recursive: bool,
    suffixes: Sequence[str],
    left_out: Counter[str] | None = None,
) -> list[Job]:
    """Decide the output of every input; what is wrong with one of them fails at its turn, not the plan.

    A file that is named twice is one job. Of several that would become the same output (names that differ in
    case only may) the first does, and the others fail.

    Args:
        paths: files and folders, or one of them.
        output_dir: None = beside the sources.
        suffix: replaces that of the sources if it is one of `suffixes`, otherwise is appended.
        recursive: search folders for files that end in one of `suffixes`, in sorted order.
        suffixes: lower case, with their dots.
        left_out: counts the suffixes of other files that the search met; not hidden ones, nor results; and
            links to folders, which it does not follow, as `LINKS`.
    """
    jobs: list[Job] = []
    sources: dict[str, Path] = {}
    for path in map(Path, several(paths)):
        found: Iterator[tuple[Path, bool, OSError | None]]
        found, root = iter([(path, is_folder(path), None)]), path.parent
        if recursive and is_folder(path):
            found, root = _walk(path), path
        for file, folder, problem in found:
            if problem is not None or (file == path and folder):
                jobs.append(Job(file, None, problem=problem))
                continue
            if folder:
                if left_out is not None:
                    left_out[LINKS] += 1
                continue
            base = file if output_dir is None else Path(output_dir) / file.relative_to(root)
            known = file.suffix.lower() in suffixes
            if not known and file != path:
                if left_out is not None and file.suffix.lower() != suffix and not file.name.startswith("."):
                    left_out[file.suffix.lower()] += 1
                continue
            output = base.with_suffix(suffix) if known else base.with_name(base.name + suffix)
            other = sources.setdefault(os.path.abspath(output), file)  # noqa: PTH100  without following links
            if other is not file:
                if other == file or same_file(other, file):
                    continue
                problem = FileExistsError(errno.EEXIST, f"would become {output}, as {other} does")
            jobs.append(Job(file, output, output_dir is not None, problem))
    return jobs


def is_wanted(job: Job, overwrite: bool, skip_existing: bool) -> bool:
    """Whether a job is to be done; makes the output's folder if so.

    Raises:
        OSError: the source is a folder, or the output may not be written.
    """
    if job.problem is not None:
        raise job.problem
    if job.source is not None and job.source.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory", str(job.source))
    if job.output is None:
        return True
    if job.source is not None and same_file(job.source, job.output):
        raise FileExistsError(errno.EEXIST, "would overwrite its own source", str(job.output))
    if job.output.is_file():
        if skip_existing:
            return False
        if not overwrite:
            raise exists_already(job.output)
    if job.source is None or job.source.exists():
        if job.make_parents:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        check_writable(job.output)
    return True


def _walk(folder: Path) -> Iterator[tuple[Path, bool, OSError | None]]:
    """Files and links below a folder, whether they lead to folders, and folders that cannot be read with the
    reason.
    """
    try:
        entries = listed(folder)
    except OSError as error:
        yield folder, True, error
        return
    for path, leads in entries:
        if leads and not os.path.islink(path):  # noqa: PTH114  pathlib's raises where a folder is closed
            yield from _walk(path)
        else:
            yield path, leads, None
