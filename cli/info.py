"""`vqcodec info` and `vqcodec verify`: what a .vqc file is, and whether it is undamaged."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vqcodec.files import Source
from vqcodec.types import ImageInfo, Limits
from vqcodec_cli import options
from vqcodec_cli.streams import inspect_each, open_models
from vqcodec_cli.ui import Reporter, drawn_part, info_object, spaced, tiles_of


@click.command(short_help="Show what .vqc files say about themselves.")
@options.inputs
@options.as_json
@options.max_pixels
@options.common
def info(reporter: Reporter, inputs: tuple[str, ...], limits: Limits) -> int:
    """Show size, quality, rate, model and metadata of .vqc files; -v lists everything.

    Only the front of a file is read: use `vqcodec verify` to check the coded picture.
    """
    from vqcodec.probing import probe  # noqa: PLC0415  --help needs no more than click

    def show(name: str, source: Source) -> None:
        found = probe(source, limits=limits)
        if reporter.as_json:
            reporter.json({"file": name, **info_object(found)})
        elif reporter.verbosity:
            for line in _listing(name, found):
                reporter.show(line)
        else:
            reporter.show(_line(name, found))

    return inspect_each(inputs, show, reporter)


@click.command(short_help="Check structure and all checksums of .vqc files.")
@options.inputs
@click.option("--decode", is_flag=True, help="Decode the picture as well; needs the model.")
@options.as_json
@options.model
@options.max_pixels
@options.common
def verify(
    reporter: Reporter, inputs: tuple[str, ...], decode: bool, model: str | None, device: str, limits: Limits
) -> int:
    """Check structure and all checksums of .vqc files, without writing anything.

    Exit code 0 means every file is good.
    """
    from vqcodec.bitstream.partial import read_file  # noqa: PLC0415  --help needs no more than click
    from vqcodec.probing import verify as check  # noqa: PLC0415

    models = open_models(device, reporter) if decode else None

    def verify_one(name: str, source: Source) -> None:
        data = read_file(source, limits)
        found = check(data, limits=limits)
        if models is not None:
            models.for_file(found.bitstream_id, model).decompress(data, limits=limits)
        if reporter.as_json:
            reporter.json({"file": name, **info_object(found)})
        else:
            reporter.line(f"{name}: OK")

    return inspect_each(inputs, verify_one, reporter)


def _line(name: str, found: ImageInfo) -> str:
    parts = [
        f"{found.width}x{found.height} {found.mode}",
        f"q{found.quality:.0f}",
        f"{spaced(found.file_bytes)} B",
        f"{found.bpp:.3f} bpp",
        tiles_of(found),
        f"model {found.model or 'unknown'} ({found.bitstream_id})"
        if found.needs_model
        else "no model needed",
        *([drawn_part(found)] if found.drawn_bytes else []),
        *([", ".join(_named(kind, found) for kind in found.metadata)] if found.metadata else []),
        *([] if found.complete else ["CUT SHORT"]),
    ]
    return f"{name}: " + "  ".join(parts)


def _listing(name: str, found: ImageInfo) -> Iterator[str]:
    tile = f"{found.tile}x{found.tile}" if found.tile else "whole picture"
    yield f"{name}:"
    yield f"  format version  {found.version}"
    yield f"  size            {found.width}x{found.height}"
    yield f"  mode            {found.mode}"
    yield f"  quality         {found.quality:.2f} (level {found.level})"
    if found.needs_model:
        yield f"  tune            {found.tune}"
    yield f"  file            {spaced(found.file_bytes)} B, {found.bpp:.4f} bpp"
    yield f"  complete        {'yes' if found.complete else 'no, the file is cut short'}"
    yield f"  tiles           {found.tiles} ({tile})"
    if found.drawn_bytes:
        yield f"  drawn           {drawn_part(found)}"
    yield f"  bitstream id    {found.bitstream_id}"
    yield f"  model           {found.model or 'unknown' if found.needs_model else 'none needed'}"
    if found.decoder_id is not None:
        yield f"  decoder id      {found.decoder_id}"
    for kind, size in found.metadata.items():
        name = f", {found.profile}" if kind == "iCCP" and found.profile else ""
        yield f"  chunk {kind}      {spaced(size)} B{name}"


def _named(kind: str, found: ImageInfo) -> str:
    return f"{kind} ({found.profile})" if kind == "iCCP" and found.profile else kind
