"""`vqcodec compress`: pictures -> .vqc files."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from vqcodec.batch import INPUT_SUFFIXES, VQC_SUFFIX, FileResult, Job, run_jobs
from vqcodec.types import EFFORT_MAX, ImageInfo, Limits
from vqcodec_cli import options
from vqcodec_cli.loader import Codecs
from vqcodec_cli.streams import make_jobs, read_input, refuse_terminal, write_output
from vqcodec_cli.ui import Reporter, finish, label_of, summary

if TYPE_CHECKING:
    from vqcodec.codec import Codec, Prepared

_NO_LIMITS = Limits(0, 0, 0, 0)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@options.output
@click.option(
    "--ext", callback=options.suffixes, metavar="LIST", help="With -r: suffixes to take, e.g. png,jpg."
)
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), help="0..100, higher is better.  [default: 50]"
)
@click.option(
    "--bpp",
    type=click.FloatRange(min=0, min_open=True),
    help="Highest quality with at most this many bits per pixel.",
)
@click.option(
    "--target-size",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Highest quality with at most this many bytes.",
)
@click.option(
    "--psnr",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DB",
    help="Lowest quality with at least this PSNR.",
)
@click.option(
    "--tile",
    type=int,
    default=1024,
    show_default=True,
    callback=options.tile,
    help="Side of independently coded tiles, a multiple of 64; 0 = whole picture.",
)
@click.option(
    "-e",
    "--effort",
    type=click.IntRange(1, EFFORT_MAX),
    default=1,
    show_default=True,
    help="Search longer for a file that is better for its size; any decoder reads it.",
)
@options.metadata
@click.option("--strip-gps", is_flag=True, help="Leave out where the picture was taken.")
@options.model
@click.option("--dry-run", is_flag=True, help="Write nothing, only report sizes.")
@click.option("--compare", is_flag=True, help="Decode again and report PSNR.")
@options.verbosity
@click.pass_obj
def compress(
    reporter: Reporter,
    inputs: tuple[str, ...],
    output: str | None,
    output_dir: str | None,
    force: bool,
    skip_existing: bool,
    recursive: bool,
    fail_fast: bool,
    ext: tuple[str, ...] | None,
    quality: float | None,
    bpp: float | None,
    target_size: int | None,
    psnr: float | None,
    tile: int,
    effort: int,
    metadata: frozenset[str],
    strip_gps: bool,
    model: str | None,
    device: str,
    dry_run: bool,
    compare: bool,
    verbose: int,
    quiet: bool,
) -> int:
    """Compress pictures to .vqc files.

    Each INPUT becomes a file of the same name ending in .vqc, beside it unless -o or --output-dir is given.
    - reads stdin and writes stdout.
    """
    reporter.configure(verbose, quiet)
    if sum(value is not None for value in (quality, bpp, target_size, psnr)) > 1:
        raise click.UsageError("-q, --bpp, --target-size and --psnr exclude each other")
    if force and skip_existing:
        raise click.UsageError("-f and --skip-existing exclude each other")
    if ext is not None and not recursive:
        raise click.UsageError("--ext needs -r")
    jobs = make_jobs(
        inputs, output, output_dir, VQC_SUFFIX, recursive=recursive, suffixes=ext or INPUT_SUFFIXES
    )
    if dry_run:
        jobs = [Job(job.source, None) for job in jobs]
    else:
        refuse_terminal(jobs, force)
    codecs = Codecs(model, device, reporter)
    settings: dict[str, Any] = {
        "quality": quality,
        "bpp": bpp,
        "target_size": target_size,
        "psnr": psnr,
        "tile": tile,
        "effort": effort,
    }

    def work(job: Job) -> ImageInfo:
        label = label_of(job.source)
        data = read_input(job)
        codec = codecs.for_encoding()
        start = time.perf_counter()
        ready = codec.prepare(data, metadata=metadata, strip_gps=strip_gps)
        coded = codec.compress(ready, **settings)
        info = replace(_info(coded), seconds=time.perf_counter() - start, notes=ready.picture.notes)
        if not dry_run:
            write_output(job, coded)
        for note in info.notes:
            reporter.note(label, note)
        target = "(dry run)" if dry_run else label_of(job.output, "<stdout>")
        extra = [_psnr(codec, ready, coded)] if compare else []
        reporter.line(summary(info, label, target, "enc", extra))
        chunks = ", ".join(f"{kind} {size} B" for kind, size in info.metadata.items()) or "no chunks"
        reporter.detail(label, f"level {info.level}, {info.tiles} tiles, {chunks}")
        return info

    def progress(result: FileResult) -> None:
        if result.error is not None:
            reporter.failure(label_of(result.source), result.error)
        elif result.skipped:
            reporter.line(f"{result.source} skipped, {result.output} exists")

    report = run_jobs(
        jobs, work, overwrite=force, skip_existing=skip_existing, stop_on_error=fail_fast, progress=progress
    )
    return finish(report, reporter, len(jobs))


def _info(coded: bytes) -> ImageInfo:
    from vqcodec.inspection import probe  # noqa: PLC0415  keep the start of the command line quick

    return probe(coded, limits=_NO_LIMITS)


def _psnr(codec: Codec, ready: Prepared, coded: bytes) -> str:
    import numpy as np  # noqa: PLC0415  as above

    from vqcodec.metrics import psnr  # noqa: PLC0415

    decoded: Any = np.asarray(codec.decompress(coded, limits=_NO_LIMITS).convert("RGB"))
    return f"PSNR {psnr(ready.picture.pixels, decoded):.2f} dB"
