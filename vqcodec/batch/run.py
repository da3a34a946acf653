"""Many files in one call: paths --plan--> jobs --run_jobs(work)--> BatchReport."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqcodec.batch.cores import worker_count
from vqcodec.batch.jobs import INPUT_SUFFIXES, VQC_SUFFIX, FileResult, Job, Work, do_job, plan
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
    paths: PathLike | Iterable[PathLike],
    output_dir: PathLike | None = None,
    *,
    recursive: bool = True,
    **options: Any,
) -> BatchReport:
    """Compress many pictures.

    Args:
        paths: files, and folders to be searched for pictures, or one of them.
        output_dir: mirrors the tree below each folder; None writes beside the sources.
        recursive: search folders; otherwise they fail.
        options: those of `Codec.compress_file`, and:
        codec (Codec): works in this process, instead of loading `model`.
        model, device: as for `vqcodec.load`.
        jobs (int, 1): worker processes on the CPU; 0 = one for each core. They share the cores between them
            and load the model once each (about 400 MB), also where "auto" would take a GPU. Where `device`
            names a GPU, this process does all the work. As always with processes in Python, a script that
            asks for them must do so below `if __name__ == "__main__":`.
        overwrite (bool, False): replace outputs that exist instead of failing for these files.
        skip_existing (bool, False): leave sources whose output exists alone.
        on_error (str): "continue" (the default) with the next file, or "raise" (and leave files undone that
            others work on).
        progress (function of a FileResult): called in this process after each file, in the order in which
            they finish.

    Raises:
        ModelNotFound: no such model.
        TypeError: there is no such option, or it is of another kind.
        ValueError: a bad option, or both `codec` and `jobs`.

    Of two inputs that would become the same output the second fails, as does a folder that cannot be read.
    """
    from vqcodec.compress.options import CompressOptions  # noqa: PLC0415  imports numpy

    # Those of the codec are checked even if no file is left to be coded.
    ours = _ours()
    CompressOptions.take({name: value for name, value in options.items() if name not in ours})
    planned = plan(paths, output_dir, VQC_SUFFIX, recursive=recursive, suffixes=INPUT_SUFFIXES)
    return _convert(planned, "compress_file", **options)


def decompress_batch(
    paths: PathLike | Iterable[PathLike],
    output_dir: PathLike | None = None,
    *,
    suffix: str = ".png",
    recursive: bool = True,
    **options: Any,
) -> BatchReport:
    """Decompress many .vqc files to pictures with `suffix`; the rest as `compress_batch`.

    `options` are those of `Codec.decompress_file`, and those that `compress_batch` lists.
    """
    from vqcodec.decompress.picture_decoder import decode  # noqa: PLC0415  imports numpy

    known = {*_ours(), "picture_format", *inspect.signature(decode).parameters} - {"decoder_of", "source"}
    for name in options:
        if name not in known:
            raise TypeError(f"decompress() got an unexpected keyword argument {name!r}")
    planned = plan(paths, output_dir, suffix, recursive=recursive, suffixes=(VQC_SUFFIX,))
    return _convert(planned, "decompress_file", **options)


def _ours() -> set[str]:
    """Options of a batch that are not the codec's."""
    return {*inspect.signature(_convert).parameters, "preserve"}


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
    running: Generator[tuple[int, FileResult]] = ((number, do(job)) for number, job in enumerate(jobs))
    if workers > 1:
        from vqcodec.batch.workers import run_in_workers  # noqa: PLC0415  most runs have one file

        running = run_in_workers(jobs, do, workers)
    results: dict[int, FileResult] = {}
    # Closing stops the workers, also where `progress` raises.
    with contextlib.closing(running):
        for number, result in running:
            results[number] = result
            if progress is not None:
                progress(result)
            if stop_on_error and result.error is not None:
                break
    return BatchReport(tuple(results[number] for number in sorted(results)))


def _convert(
    planned: Sequence[Job],
    method: str,
    *,
    codec: Codec | None = None,
    model: str = zoo.DEFAULT_MODEL,
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    skip_existing: bool = False,
    on_error: str = "continue",
    progress: Progress | None = None,
    **options: Any,
) -> BatchReport:
    """Call a method of a codec for each job; the arguments are those of both batch functions."""
    if on_error not in ("continue", "raise"):
        raise ValueError(f"on_error must be continue or raise, not {on_error!r}")
    if codec is not None and jobs != 1:
        raise ValueError("a codec works in this process: give model= instead, or jobs=1")
    from vqcodec.loading import ModelCache  # noqa: PLC0415  imports numpy and Pillow

    workers = worker_count(jobs, len(planned), device)
    models = ModelCache(device=device if workers == 1 else "cpu")
    get_codec = functools.partial(models.get, model) if codec is None else lambda: codec
    # A missing model is an error of the call, not of each file.
    if workers == 1:
        get_codec()
    else:
        zoo.find_model(model)
    report = run_jobs(
        planned,
        functools.partial(_call, get_codec=get_codec, method=method, options=options),
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


def _call(job: Job, *, get_codec: Callable[[], Codec], method: str, options: dict[str, Any]) -> ImageInfo:
    """A method of a codec as work; each process gets the codec for itself."""
    info: ImageInfo = getattr(get_codec(), method)(job.source, job.output, **options)
    return info


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
