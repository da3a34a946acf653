"""Many files in one call: going on after a failure, over several processes, and a report.

    paths --plan--> jobs --run_jobs(work)--> BatchReport

`compress_batch` and `decompress_batch` are these two steps with a codec as the work; the command line uses
the same steps with work of its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqcodec.batch.jobs import INPUT_SUFFIXES, VQC_SUFFIX, FileResult, Job, Work, do_job, plan
from vqcodec.batch.workers import run_in_workers, worker_count
from vqcodec.files import PathLike
from vqcodec.types import ImageInfo
from vqcodec.weights import zoo

if TYPE_CHECKING:
    from vqcodec.codec import Codec

Progress = Callable[[FileResult], None]


@dataclass(frozen=True)
class BatchReport:
    """Results in the order of the inputs; prints as a table."""

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

    def __str__(self) -> str:
        rows = [("file", "size", "quality", "bytes", "bpp", "seconds", "result")]
        rows += map(_row, self.results)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                # Names and results to the left, numbers to the right.
                cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        counts = f"{len(self.done)} done, {len(self.skipped)} skipped, {len(self.failed)} failed"
        infos = [result.info for result in self.results if result.info is not None]
        pixels = sum(info.width * info.height for info in infos)
        size = sum(info.file_bytes for info in infos)
        total = f", {size} bytes, {8 * size / pixels:.3f} bpp" if pixels else ""
        return "\n".join([*lines, counts + total])


def compress_batch(
    paths: Iterable[PathLike],
    output_dir: PathLike | None = None,
    *,
    codec: Codec | None = None,
    model: str = zoo.DEFAULT_MODEL,
    device: str = "auto",
    batch_size: int | None = None,
    precision: str = "auto",
    jobs: int = 1,
    recursive: bool = True,
    overwrite: bool = False,
    skip_existing: bool = False,
    on_error: str = "continue",
    progress: Progress | None = None,
    **options: Any,
) -> BatchReport:
    """Compress many pictures.

    Args:
        paths: files, and folders to be searched for pictures.
        output_dir: mirrors the tree below each folder; None writes beside the sources.
        codec: a `Codec` to work with in this process, instead of loading `model`.
        model, device, batch_size, precision: as for `vqcodec.load`.
        jobs: worker processes on the CPU; 0 = one for each core. They share the cores between them and load
            the model once each (about 400 MB). Where `device` names a GPU, this process does all the work.
            As always with processes in Python, a script that asks for them must do so below
            `if __name__ == "__main__":`.
        recursive: search folders; otherwise they fail.
        overwrite: replace outputs that exist instead of failing for these files.
        skip_existing: leave sources whose output exists alone.
        on_error: "continue" with the next file, or "raise" (and leave files undone that others work on).
        progress: called in this process after each file, in the order in which they finish.
        options: as for `Codec.compress_file`.

    Raises:
        ModelNotFound: no such model.
        ValueError: two inputs would become the same output, a bad option, or both `codec` and `jobs`.
        OSError: a folder cannot be read.
    """
    planned = plan(paths, output_dir, VQC_SUFFIX, recursive=recursive, suffixes=INPUT_SUFFIXES)
    work = _CodecWork("compress_file", options, codec, model, device, batch_size, precision)
    return _run(planned, work, jobs, overwrite, skip_existing, on_error, progress)


def decompress_batch(
    paths: Iterable[PathLike],
    output_dir: PathLike | None = None,
    *,
    codec: Codec | None = None,
    model: str = zoo.DEFAULT_MODEL,
    device: str = "auto",
    batch_size: int | None = None,
    precision: str = "auto",
    jobs: int = 1,
    suffix: str = ".png",
    recursive: bool = True,
    overwrite: bool = False,
    skip_existing: bool = False,
    on_error: str = "continue",
    progress: Progress | None = None,
    **options: Any,
) -> BatchReport:
    """Decompress many .vqc files to pictures with `suffix`; the rest as `compress_batch`.

    `options` as for `Codec.decompress_file`.
    """
    planned = plan(paths, output_dir, suffix, recursive=recursive, suffixes=(VQC_SUFFIX,))
    work = _CodecWork("decompress_file", options, codec, model, device, batch_size, precision)
    return _run(planned, work, jobs, overwrite, skip_existing, on_error, progress)


def run_jobs(
    jobs: Sequence[Job],
    work: Work,
    *,
    workers: int = 1,
    overwrite: bool = False,
    skip_existing: bool = False,
    stop_on_error: bool = False,
    progress: Progress | None = None,
) -> BatchReport:
    """Do `work` for each job; an expected failure of one file does not stop the others.

    Programming errors (TypeError, ValueError, ...) are not caught.

    Args:
        workers: processes to do it in, for work that survives pickling; 1 = this one.
        progress: called after each file, in the order in which they finish.
    """
    do = functools.partial(do_job, work=work, overwrite=overwrite, skip_existing=skip_existing)
    here = ((number, do(job)) for number, job in enumerate(jobs))
    results: dict[int, FileResult] = {}
    # Closing stops the workers, also where `progress` raises.
    with contextlib.closing(run_in_workers(jobs, do, workers) if workers > 1 else here) as running:
        for number, result in running:
            results[number] = result
            if progress is not None:
                progress(result)
            if stop_on_error and result.error is not None:
                break
    return BatchReport(tuple(results[number] for number in sorted(results)))


@dataclass
class _CodecWork:
    """A method of a codec as work: of the one given, or of a model that every process loads for itself."""

    method: str
    options: dict[str, Any]
    codec: Codec | None
    model: str
    device: str
    batch_size: int | None
    precision: str

    def load(self) -> Codec:
        """The codec, loaded once."""
        if self.codec is None:
            from vqcodec.loading import load  # noqa: PLC0415  imports numpy and Pillow, and then torch

            self.codec = load(
                self.model, device=self.device, batch_size=self.batch_size, precision=self.precision
            )
        return self.codec

    def __call__(self, job: Job) -> ImageInfo:
        info: ImageInfo = getattr(self.load(), self.method)(job.source, job.output, **self.options)
        return info


def _run(
    planned: Sequence[Job],
    work: _CodecWork,
    jobs: int,
    overwrite: bool,
    skip_existing: bool,
    on_error: str,
    progress: Progress | None,
) -> BatchReport:
    if on_error not in ("continue", "raise"):
        raise ValueError(f"on_error must be continue or raise, not {on_error!r}")
    if work.codec is not None and jobs != 1:
        raise ValueError("a codec cannot be sent to other processes: give model= instead, or jobs=1")
    # A missing model is an error of the call, not of each file.
    workers = worker_count(jobs, len(planned), work.device)
    if workers == 1:
        work.load()
    else:
        zoo.find_model(work.model)
        work.device = "cpu"
    report = run_jobs(
        planned,
        work,
        workers=workers,
        overwrite=overwrite,
        skip_existing=skip_existing,
        stop_on_error=on_error == "raise",
        progress=progress,
    )
    for result in report.failed:
        if on_error == "raise" and result.error is not None:
            raise result.error
    return report


def _row(result: FileResult) -> tuple[str, str, str, str, str, str, str]:
    name, info = str(result.source), result.info
    if info is None:
        lines = str(result.error).splitlines() or [type(result.error).__name__]
        return name, "", "", "", "", "", "skipped" if result.error is None else f"failed: {lines[0]}"
    return (
        name,
        f"{info.width}x{info.height}",
        f"{info.quality:.0f}",
        str(info.file_bytes),
        f"{info.bpp:.3f}",
        "" if info.seconds is None else f"{info.seconds:.2f}",
        str(result.output),
    )
