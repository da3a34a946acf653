"""`vqcodec inspect`: pictures and numbers that show what is inside a model or a file."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vqcodec.batch.jobs import VQC_SUFFIX
from vqcodec.bitstream.header import MAGIC
from vqcodec.errors import CorruptData
from vqcodec.files import Source, begins_with, exists_already, read_source, write_atomic
from vqcodec.types import Limits
from vqcodec.weights.zoo import SUFFIX
from vqcodec_cli import options
from vqcodec_cli.streams import STREAM, inspect_each, open_models
from vqcodec_cli.ui import Reporter, spaced

if TYPE_CHECKING:
    from vqcodec.inspect.bit_report import BitReport
    from vqcodec.inspect.codebook_usage import CodebookUsage

_OF_MODEL = ("codebooks.png", "usage.png", "usage.json")
_OF_FILE = ("bits.png", "bits.json")
_QUALITY = 50.0


@click.command()
@click.argument("target", type=options.Name(), metavar="MODEL|FILE.vqc", shell_complete=options.files)
@click.option(
    *("-o", "--output"),
    type=options.Name(),
    required=True,
    metavar="DIR",
    shell_complete=options.folders,
    help="Folder to write to; made if missing.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite files.")
@click.option(
    "-q",
    "--quality",
    type=options.Finite(0, 100),
    help="Of a model: the quality its codewords are decoded at.  [default: 50]",
)
@options.model
@options.max_pixels
@options.common
def inspect(
    reporter: Reporter,
    target: str,
    output: str,
    force: bool,
    quality: float | None,
    model: str | None,
    device: str,
    limits: Limits,
) -> int:
    """Draw what is inside a model or a file.

    Of a MODEL (a name or a weight file): codebooks.png, the codewords as pixels; usage.png and usage.json,
    how much of each codebook is used.

    Of a FILE.vqc (or - for stdin): bits.png, a heat map of its bits over the picture; bits.json, the bits by
    layer, phase, band and group.

    The numbers also come as a table on stdout.
    """
    is_file = target == STREAM or target.lower().endswith(VQC_SUFFIX) or _is_vqc(target)
    if not is_file and Path(target).is_file() and not target.endswith(SUFFIX):
        raise CorruptData(f"{target}: neither a .vqc file nor a weight file ({SUFFIX})")
    if is_file and quality is not None:
        raise click.UsageError("-q is for models: a file has its quality")
    if not is_file and model is not None:
        raise click.UsageError("-m is for files: a model is named by the argument")
    folder = Path(output)
    names = _OF_FILE if is_file else _OF_MODEL
    _check_free(folder, names, force)

    def finish(contents: Iterable[bytes], table: Iterator[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(names, contents, strict=True):
            write_atomic(folder / name, content)
        if not reporter.quiet:
            for row in table:
                reporter.show(row)
        reporter.line(f"{target} -> {', '.join(str(folder / name) for name in names)}")

    def look(_name: str, source: Source) -> None:
        from vqcodec.inspect.bit_heatmap import draw_bits  # noqa: PLC0415
        from vqcodec.inspect.bit_report import count_bits  # noqa: PLC0415  imports torch
        from vqcodec.probing import probe  # noqa: PLC0415  imports Pillow

        data = read_source(source)
        found = probe(data, limits=limits)
        codec = open_models(device, reporter).for_file(found.bitstream_id, model)
        report, picture = count_bits(codec, data, limits=limits)
        contents = draw_bits(report, picture).png(), _json({"file": target, **report.to_dict()})
        finish(contents, _bits_table(report))

    if is_file:
        return inspect_each([target], look, reporter)
    codec = open_models(device, reporter).get(target)
    from vqcodec.inspect.codebook_atlas import draw_atlas  # noqa: PLC0415  imports torch
    from vqcodec.inspect.codebook_usage import codebook_use, draw_usage  # noqa: PLC0415

    uses = codebook_use(codec)
    found = {
        "model": codec.name,
        "bitstream_id": codec.bitstream_id,
        "decoder_id": codec.decoder_id,
        "codebooks": [use.to_dict() for use in uses],
    }
    atlas = draw_atlas(codec, _QUALITY if quality is None else quality)
    finish((atlas.png(), draw_usage(uses, codec.name).png(), _json(found)), _usage_table(uses))
    return 0


def _is_vqc(target: str) -> bool:
    """Whether it is a .vqc file by another name, or a pipe, which no weight file is."""
    path = Path(target)
    is_pipe = path.exists() and not (path.is_file() or path.is_dir())
    return is_pipe or begins_with(path, MAGIC)


def _check_free(folder: Path, names: Sequence[str], force: bool) -> None:
    """Find out before the work whether its results may be written."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(folder))
    for name in names:
        if not force and (folder / name).exists():
            raise exists_already(folder / name)


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _bits_table(report: BitReport) -> Iterator[str]:
    from vqcodec.inspect.bit_report import PART_NAMES  # noqa: PLC0415  imports torch

    def row(name: str, bits: float, note: str = "") -> str:
        return (
            f"  {name:<24}{spaced(round(bits)):>12} bits {100 * bits / report.bits:6.1f} %  {note}".rstrip()
        )

    parts = f"{spaced(report.segment_bytes)} B of segments, {report.overhead_bytes} B of container"
    yield f"{spaced(report.file_bytes)} B: {parts}"
    if report.drawn_bytes:
        covered = f"{spaced(report.drawn_bytes)} B for {100 * report.drawn_share:.0f} % of the pixels"
        yield row("drawn layer", 8 * report.drawn_bytes, covered)
    for layer, (bits, size) in enumerate(report.layers):
        yield row(f"layer {layer}", bits, f"{spaced(size)} B")
    for name, bits in zip(PART_NAMES, report.parts, strict=True):
        yield row("hyper-latent z" if name == "z" else name.replace("_", " "), bits)
    for band in report.bands:
        note = f"perplexity {band.perplexity:.2f} of {band.codewords} codewords" if band.symbols else "unused"
        yield row(f"{band.name}: {band.groups} groups of {band.size}", band.bits, note)
    for group in report.groups[:10]:
        channels = ", ".join(str(channel) for channel in group.channels)
        yield row(f"{group.band} group {group.group}", group.bits, f"channels {channels}")


def _usage_table(uses: Sequence[CodebookUsage]) -> Iterator[str]:
    yield "band  groups  codewords  perplexity: mean  lowest  highest  middle class   longest codeword"
    for band in dict.fromkeys(use.band for use in uses):
        members = [use for use in uses if use.band == band]
        values = [use.perplexity for use in members]
        middle = sum(use.perplexity_middle for use in members) / len(members)
        longest = max(use.norms[2] for use in members)
        yield (
            f"{band:<4}  {len(members):>6}  {members[0].codewords:>9}  {sum(values) / len(values):>16.2f}"
            f"  {min(values):>6.2f}  {max(values):>7.2f}  {middle:>12.2f}  {longest:>17.2f}"
        )
