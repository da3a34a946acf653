"""`vqcodec decompress`: .vqc files -> pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from vqcodec.batch.jobs import VQC_SUFFIX, FileResult, Job
from vqcodec.bitstream.header import LAYERS
from vqcodec.types import ImageInfo, Limits, Region
from vqcodec_cli import options
from vqcodec_cli.batches import Flags, convert
from vqcodec_cli.help import help_all
from vqcodec_cli.loader import Codecs
from vqcodec_cli.streams import STREAM, make_jobs, read_input, refuse_terminal, write_output
from vqcodec_cli.ui import Reporter, label_of, summary


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
@options.batch_size
@options.precision
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
@help_all
@click.pass_obj
def decompress(
    reporter: Reporter,
    inputs: tuple[str, ...],
    output: str | None,
    output_dir: str | None,
    force: bool,
    skip_existing: bool,
    recursive: bool,
    jobs: int,
    fail_fast: bool,
    no_progress: bool,
    as_json: bool,
    picture_format: str | None,
    metadata: frozenset[str],
    model: str | None,
    device: str,
    batch_size: int | None,
    precision: str,
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
    flags = Flags(force, skip_existing, fail_fast, as_json, not no_progress)
    to_stdout = output == STREAM or (output is None and STREAM in inputs)
    if to_stdout and picture_format is None:
        raise click.UsageError("writing to stdout needs --format")
    suffix = "." + (picture_format or "png").lower().lstrip(".")
    kind = _format(None if to_stdout else output, suffix if output is None else picture_format)
    planned = make_jobs(inputs, output, output_dir, suffix, recursive=recursive, suffixes=(VQC_SUFFIX,))
    flags.check(planned, to_stdout=True)
    refuse_terminal(planned, force)
    codecs = Codecs(model, device, reporter, batch_size, precision)
    workers = codecs.workers(jobs, len(planned))
    settings = {
        "metadata": metadata,
        "allow_partial": allow_partial,
        "limits": limits,
        "realism": realism,
        "region": region,
        "preview": preview,
        # Only here: a worker has no terminal.
        "progress": reporter.part if workers == 1 else None,
    }
    work = _Decompress(codecs, kind, limits, settings)

    def tell(result: FileResult, info: ImageInfo) -> None:
        target = label_of(result.output, "<stdout>")
        reporter.line(summary(info, label_of(result.source), target, "dec"))

    return convert(planned, work, tell, flags, reporter, workers)


@dataclass
class _Decompress:
    """The work on one file; sent to worker processes."""

    codecs: Codecs
    kind: str
    limits: Limits
    settings: dict[str, Any]

    def __call__(self, job: Job) -> ImageInfo:
        from vqcodec.probing import probe  # noqa: PLC0415  keep the start of the command line quick

        # A preview reads the beginning of a file only; a pipe cannot be looked at twice.
        partly = self.settings["preview"] is not None and job.source is not None and job.source.is_file()
        data = job.source if partly and job.source else read_input(job)
        codec = self.codecs.for_file(probe(data, limits=self.limits).bitstream_id)
        picture, info = codec.transcode(data, self.kind, **self.settings)
        write_output(job, picture)
        return info


def _format(path: str | None, name: str | None) -> str:
    from vqcodec.image.saving import format_for  # noqa: PLC0415  imports Pillow

    try:
        return format_for(path, name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
