"""`vqcodec compress`: pictures -> .vqc files."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from vqcodec.batch.jobs import INPUT_SUFFIXES, VQC_SUFFIX, FileResult, Job
from vqcodec.batch.work import Comparison, CompressWork
from vqcodec.types import EFFORT_MAX, TUNES, Compared, ImageInfo
from vqcodec.weights.zoo import DEFAULT_MODEL
from vqcodec_cli import options
from vqcodec_cli.convert import Conversion
from vqcodec_cli.ray_engine import convert_on_ray
from vqcodec_cli.streams import read_input, write_output
from vqcodec_cli.ui import Reporter, drawn_part, label_of, summary, tiles_of

if TYPE_CHECKING:
    from vqcodec.loading import ModelCache


@click.command()
@options.output
@click.option(
    "--ext",
    callback=options.checked(options.suffixes),
    metavar="LIST",
    hidden=True,
    help="With -r: suffixes to take, e.g. png,jpg.",
)
@click.option("-q", "--quality", type=options.Finite(0, 100), help="0..100, higher is better.  [default: 50]")
@click.option(
    "--bpp",
    type=options.Finite(min=0, min_open=True),
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
    type=options.Finite(min=0, min_open=True),
    metavar="DB",
    help="Lowest quality with at least this PSNR; exact if none has it.",
)
@click.option(
    "--lossless",
    is_flag=True,
    help="Every pixel comes back exactly.",
)
@click.option(
    "--no-drawn",
    "drawn",
    is_flag=True,
    default=True,
    flag_value=False,
    help="Leave text, interfaces and other drawn parts to the networks too.",
)
@click.option(
    "--tune",
    type=click.Choice(TUNES),
    default=TUNES[0],
    show_default=True,
    help="What efforts above 1 search for: what people see, or squared error.",
)
@click.option(
    "--tile",
    type=int,
    default=1024,
    show_default=True,
    callback=options.checked(options.tile),
    hidden=True,
    help="Side of independently coded tiles, a multiple of 64; 0 = whole picture.",
)
@click.option(
    "-e",
    "--effort",
    type=click.IntRange(1, EFFORT_MAX),
    default=1,
    show_default=True,
    metavar="N",
    help="Search longer for a file that is better for its size; any decoder reads it. 2 to 4 are quick.",
)
@options.metadata
@click.option("--strip-gps", is_flag=True, help="Leave out where the picture was taken.")
@click.option(
    "--allow-partial", is_flag=True, help="Take what can be decoded of a cut picture, and exit with 3."
)
@options.max_pixels
@options.model
@click.option(
    "--dry-run",
    is_flag=True,
    help="Write nothing, only report sizes; with --skip-existing, of what is not there yet.",
)
@click.option("--compare", is_flag=True, hidden=True, help="Decode again and report PSNR and MS-SSIM.")
@options.common
def compress(
    reporter: Reporter, /, ext: tuple[str, ...] | None, dry_run: bool, compare: bool, **options: Any
) -> int:
    """Compress pictures to .vqc files.

    Each INPUT becomes a file of the same name ending in .vqc, beside it unless -o or --output-dir is given.
    - reads stdin and writes stdout.
    """
    # What is left are keyword arguments of `Codec.compress`.
    conversion = Conversion.take(reporter, options)
    asked = [options[name] for name in ("quality", "bpp", "target_size", "psnr")]
    if sum(value is not None for value in (*asked, options["lossless"] or None)) > 1:
        raise click.UsageError("-q, --bpp, --target-size, --psnr and --lossless exclude each other")
    if ext is not None and not conversion.recursive:
        raise click.UsageError("--ext needs -r")
    if conversion.output is not None and conversion.output.lower().endswith(INPUT_SUFFIXES):
        raise click.UsageError(f"-o {conversion.output}: a picture's suffix, but compress writes .vqc files")

    def tell(result: FileResult, info: ImageInfo) -> None:
        label = label_of(result.source)
        target = "(dry run)" if dry_run else label_of(result.output, "<stdout>")
        reporter.line(summary(info, label, target, "enc", _scores(info)))
        chunks = ", ".join(f"{kind} {size} B" for kind, size in info.metadata.items()) or "no chunks"
        reporter.detail(label, f"level {info.level}, {tiles_of(info)}, {chunks}{drawn_part(info, ', ')}")

    if conversion.engine == "ray":
        comparison: Comparison = "all" if compare else ""
        far = CompressWork(conversion.far_models, conversion.model or DEFAULT_MODEL, options, comparison)
        return convert_on_ray(conversion, far, VQC_SUFFIX, ext or INPUT_SUFFIXES, tell, dry_run=dry_run)
    jobs = conversion.plan(VQC_SUFFIX, ext or INPUT_SUFFIXES, dry_run=dry_run)
    options["progress"] = reporter.part
    work = functools.partial(
        _compress, options=options, dry_run=dry_run, compare=compare, preserve=conversion.preserve
    )
    return conversion.run(jobs, work, tell)


def _compress(
    job: Job,
    *,
    models: ModelCache,
    model: str | None,
    options: dict[str, Any],
    dry_run: bool,
    compare: bool,
    preserve: bool,
) -> ImageInfo:
    """The work on one file; sent to worker processes."""
    work = CompressWork(models, model or DEFAULT_MODEL, options, "all" if compare else "")
    coded, info = work(read_input(job))
    if not dry_run:
        write_output(job, coded, preserve)
    return info


def _scores(info: ImageInfo) -> list[str]:
    if not isinstance(info, Compared):
        return []
    scores = [f"PSNR {info.psnr:.2f} dB"]
    return scores if info.ms_ssim is None else [*scores, f"MS-SSIM {info.ms_ssim:.4f}"]
