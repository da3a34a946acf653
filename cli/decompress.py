"""`vqcodec decompress`: .vqc files -> pictures."""

from __future__ import annotations

import click

from vqcodec.batch import VQC_SUFFIX, FileResult, Job, run_jobs
from vqcodec.bitstream.header import LAYERS
from vqcodec.types import ImageInfo, Limits, Region
from vqcodec_cli import options
from vqcodec_cli.loader import Codecs
from vqcodec_cli.streams import STREAM, make_jobs, read_input, refuse_terminal, write_output
from vqcodec_cli.ui import Reporter, finish, label_of, summary


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@options.output
@click.option(
    "--format",
    "picture_format",
    metavar="NAME",
    help="Picture format (png, jpg, webp, avif, tiff, bmp, ppm) instead of the suffix; required for stdout.",
)
@options.metadata
@options.model
@click.option(
    "--realism",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="0..1",
    help="0 (default) comes nearest to the original, 1 makes up lost texture. The bits are the same.",
)
@click.option(
    "--region", callback=options.region, metavar="X,Y,W,H", help="Only this part; only the tiles it needs."
)
@click.option(
    "--preview",
    type=click.IntRange(1, LAYERS),
    metavar="N",
    help=f"Picture from the file's first N layers of {LAYERS}; reads no more than its beginning.",
)
@click.option("--allow-partial", is_flag=True, help="Decode what is whole of a cut file, and exit with 3.")
@options.max_pixels
@options.verbosity
@click.pass_obj
def decompress(
    reporter: Reporter,
    inputs: tuple[str, ...],
    output: str | None,
    output_dir: str | None,
    force: bool,
    skip_existing: bool,
    recursive: bool,
    fail_fast: bool,
    picture_format: str | None,
    metadata: frozenset[str],
    model: str | None,
    device: str,
    realism: float,
    region: Region | None,
    preview: int | None,
    allow_partial: bool,
    limits: Limits,
    verbose: int,
    quiet: bool,
) -> int:
    """Decompress .vqc files to pictures.

    Each INPUT becomes a .png of the same name (or what --format says), beside it unless -o or --output-dir is
    given. - reads stdin and writes stdout.
    """
    reporter.configure(verbose, quiet)
    if force and skip_existing:
        raise click.UsageError("-f and --skip-existing exclude each other")
    to_stdout = output == STREAM or (output is None and STREAM in inputs)
    if to_stdout and picture_format is None:
        raise click.UsageError("writing to stdout needs --format")
    suffix = "." + (picture_format or "png").lower().lstrip(".")
    kind = _format(None if to_stdout else output, suffix if output is None else picture_format)
    jobs = make_jobs(inputs, output, output_dir, suffix, recursive=recursive, suffixes=(VQC_SUFFIX,))
    refuse_terminal(jobs, force)
    codecs = Codecs(model, device, reporter)

    def work(job: Job) -> ImageInfo:
        from vqcodec.inspection import probe  # noqa: PLC0415  keep the start of the command line quick

        label = label_of(job.source)
        # A preview reads the beginning of a file only; a pipe cannot be looked at twice.
        partly = preview is not None and job.source is not None and job.source.is_file()
        data = job.source if partly and job.source else read_input(job)
        codec = codecs.for_file(probe(data, limits=limits).bitstream_id)
        picture, info = codec.transcode(
            data,
            kind,
            metadata=metadata,
            allow_partial=allow_partial,
            limits=limits,
            realism=realism,
            region=region,
            preview=preview,
        )
        write_output(job, picture)
        for note in info.notes:
            reporter.note(label, note)
        reporter.line(summary(info, label, label_of(job.output, "<stdout>"), "dec"))
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


def _format(path: str | None, name: str | None) -> str:
    from vqcodec.imagesave import format_for  # noqa: PLC0415  imports Pillow

    try:
        return format_for(path, name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
