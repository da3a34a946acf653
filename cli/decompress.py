"""`vqcodec decompress`: .vqc files -> pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vqcodec.batch.jobs import VQC_SUFFIX, FileResult, Job
from vqcodec.bitstream.header import LAYERS
from vqcodec.types import ImageInfo
from vqcodec_cli import options
from vqcodec_cli.convert import Conversion
from vqcodec_cli.help import help_all
from vqcodec_cli.streams import read_input, write_output
from vqcodec_cli.ui import Reporter, label_of, summary

if TYPE_CHECKING:
    from vqcodec.loading import ModelCache


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
def decompress(reporter: Reporter, /, picture_format: str | None, **options: Any) -> int:
    """Decompress .vqc files to pictures.

    Each INPUT becomes a .png of the same name (or what --format says), beside it unless -o or --output-dir is
    given. - reads stdin and writes stdout.
    """
    conversion = Conversion.take(options)  # what is left are keyword arguments of `Codec.decompress`
    if conversion.to_stdout and picture_format is None:
        raise click.UsageError("writing to stdout needs --format")
    suffix = "." + (picture_format or "png").lower().lstrip(".")
    kind = _pillow_format(conversion.output, picture_format)
    jobs = conversion.plan(suffix, (VQC_SUFFIX,))
    options["progress"] = reporter.part
    work = _Decompress(conversion.models(len(jobs), reporter), conversion.model, kind, options)

    def tell(result: FileResult, info: ImageInfo) -> None:
        target = label_of(result.output, "<stdout>")
        reporter.line(summary(info, label_of(result.source), target, "dec"))

    return conversion.run(jobs, work, tell, reporter)


@dataclass(frozen=True)
class _Decompress:
    """The work on one file; sent to worker processes."""

    models: ModelCache
    model: str | None
    kind: str
    options: dict[str, Any]

    def __call__(self, job: Job) -> ImageInfo:
        from vqcodec.probing import probe  # noqa: PLC0415  keep the start of the command line quick

        # A preview reads the beginning of a file only; a pipe cannot be looked at twice.
        partly = self.options["preview"] is not None and job.source is not None and job.source.is_file()
        data = job.source if partly and job.source else read_input(job)
        found = probe(data, limits=self.options["limits"])
        codec = self.models.for_file(found.bitstream_id, self.model)
        picture, info = codec.transcode(data, self.kind, **self.options)
        write_output(job, picture)
        return info


def _pillow_format(output: str | None, name: str | None) -> str:
    """Pillow's name of the format that --format asks for, else the suffix of -o, else PNG."""
    from vqcodec.image.saving import format_for  # noqa: PLC0415  imports Pillow

    try:
        return format_for(output, name or ("png" if output is None else None))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
