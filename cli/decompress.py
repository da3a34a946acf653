"""`vqcodec decompress`: .vqc files -> pictures."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from vqcodec.batch.jobs import VQC_SUFFIX, FileResult, Job
from vqcodec.batch.work import DecompressWork
from vqcodec.bitstream.header import LAYERS
from vqcodec.errors import Truncated
from vqcodec.types import ImageInfo
from vqcodec_cli import options
from vqcodec_cli.convert import Conversion
from vqcodec_cli.ray_engine import convert_on_ray
from vqcodec_cli.streams import read_input, write_output
from vqcodec_cli.ui import Reporter, label_of, summary

if TYPE_CHECKING:
    from vqcodec.loading import ModelCache


@click.command()
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
    type=options.Finite(0, 1),
    default=0.0,
    metavar="0..1",
    help="0 (default) comes nearest to the original, 1 makes up lost texture. The bits are the same.",
)
@click.option(
    "--region",
    callback=options.checked(options.region),
    metavar="X,Y,W,H",
    help="Only this part; only the tiles it needs.",
)
@click.option(
    "--preview",
    type=click.IntRange(1, LAYERS),
    metavar="N",
    help=f"Picture from the file's first N layers of {LAYERS}; reads no more than its beginning.",
)
@click.option("--allow-partial", is_flag=True, help="Decode what is whole of a cut file, and exit with 3.")
@options.max_pixels
@options.common
def decompress(reporter: Reporter, /, picture_format: str | None, **options: Any) -> int:
    """Decompress .vqc files to pictures.

    Each INPUT becomes a .png of the same name (or what --format says), beside it unless -o or --output-dir is
    given. - reads stdin and writes stdout.
    """
    from vqcodec.image.saving import format_for  # noqa: PLC0415  imports Pillow

    # What is left are keyword arguments of `Codec.decompress`.
    conversion = Conversion.take(reporter, options)
    if conversion.to_stdout and picture_format is None:
        raise click.UsageError("writing to stdout needs --format")
    suffix = "." + (picture_format or "png").lower().lstrip(".")
    try:
        name = picture_format or ("png" if conversion.output is None else None)
        kind = format_for(conversion.output, name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    part = ["part {2}x{3}".format(*options["region"])] if options["region"] else []

    def tell(result: FileResult, info: ImageInfo) -> None:
        target = label_of(result.output, "<stdout>")
        reporter.line(summary(info, label_of(result.source), target, "dec", part))

    if conversion.engine == "ray":
        far = DecompressWork(conversion.far_models, kind, conversion.model, options)
        return convert_on_ray(conversion, far, suffix, (VQC_SUFFIX,), tell)
    jobs = conversion.plan(suffix, (VQC_SUFFIX,))
    options["progress"] = reporter.part
    work = functools.partial(_decompress, kind=kind, options=options, preserve=conversion.preserve)
    return conversion.run(jobs, work, tell)


def _decompress(
    job: Job, *, models: ModelCache, model: str | None, kind: str, options: dict[str, Any], preserve: bool
) -> ImageInfo:
    """The work on one file; sent to worker processes."""
    # No more of a file is read than is needed; a pipe cannot be looked at twice.
    data = job.source if job.source is not None and job.source.is_file() else read_input(job)
    try:
        picture, info = DecompressWork(models, kind, model, options)(data)
    except Truncated as error:
        if options["allow_partial"]:
            raise
        from vqcodec.probing import probe  # noqa: PLC0415  --help needs no more than click

        probe(data, limits=options["limits"])  # raises it again where not even the front is whole
        raise Truncated(f"{error} (--allow-partial decodes what is whole)") from error
    write_output(job, picture, preserve)
    return info
