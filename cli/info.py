"""`vqcodec info`: what a .vqc file is, from its first bytes."""

from __future__ import annotations

from collections.abc import Iterator

import click

from vqcodec.files import Source
from vqcodec.types import ImageInfo, Limits
from vqcodec_cli import options
from vqcodec_cli.help import help_all
from vqcodec_cli.streams import inspect_each
from vqcodec_cli.ui import Reporter, info_object, spaced


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@options.as_json
@options.max_pixels
@options.verbosity
@help_all
@click.pass_obj
def info(reporter: Reporter, inputs: tuple[str, ...], as_json: bool, limits: Limits) -> int:
    """Show size, quality, rate, model and metadata of .vqc files; -v lists everything.

    Only the front of a file is read: use `vqcodec verify` to check the coded picture.
    """
    from vqcodec.probing import probe  # noqa: PLC0415  --help needs no more than click

    def show(name: str, source: Source) -> None:
        found = probe(source, limits=limits)
        if as_json:
            reporter.json({"file": name, **info_object(found)})
        elif reporter.verbosity:
            click.echo("\n".join(_listing(name, found)))
        else:
            click.echo(_line(name, found))

    return inspect_each(inputs, show, reporter, as_json=as_json)


def _line(name: str, found: ImageInfo) -> str:
    tiles = "1 tile" if found.tiles == 1 else f"{found.tiles} tiles"
    parts = [
        f"{found.width}x{found.height} {found.mode}",
        f"q{found.quality:.0f}",
        f"{spaced(found.file_bytes)} B",
        f"{found.bpp:.3f} bpp",
        tiles,
        f"model {found.model or 'unknown'} ({found.bitstream_id})",
        *([", ".join(found.metadata)] if found.metadata else []),
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
    yield f"  file            {spaced(found.file_bytes)} B, {found.bpp:.4f} bpp"
    yield f"  complete        {'yes' if found.complete else 'no, the file is cut short'}"
    yield f"  tiles           {found.tiles} ({tile})"
    yield f"  bitstream id    {found.bitstream_id}"
    yield f"  model           {found.model or 'unknown'}"
    if found.decoder_id is not None:
        yield f"  decoder id      {found.decoder_id}"
    for kind, size in found.metadata.items():
        yield f"  chunk {kind}      {spaced(size)} B"
