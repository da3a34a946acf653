"""`vqcodec thumbnail`: a small picture of a .vqc file, as file managers ask for it."""

from __future__ import annotations

import click

from vqcodec_cli import options
from vqcodec_cli.streams import STREAM, inspect_each
from vqcodec_cli.ui import Reporter


@click.command(short_help="Write a small PNG file of a .vqc file.")
@click.argument("source", type=options.Name(), metavar="IN", shell_complete=options.files)
@click.argument("target", type=options.Name(), metavar="OUT", shell_complete=options.files)
@click.argument("size", type=click.IntRange(1, 4096))
@click.option("--uri", metavar="URI", help="Of IN; OUT then says so, with time, size and type of the file.")
@options.common
def thumbnail(reporter: Reporter, source: str, target: str, size: int, uri: str | None) -> int:
    """Write a PNG file OUT of at most SIZE x SIZE pixels, in sRGB, of the .vqc file IN.

    Where it is at most half as large as the picture it is made without the networks that draw detail, in a
    third of a decode's time. `vqcodec desktop install` makes file managers use this.
    """
    if STREAM in (source, target):
        raise click.UsageError("IN and OUT are files, not -")
    from vqcodec.thumbnails import Thumbnailer  # noqa: PLC0415  --help needs no more than click
    from vqcodec_cli.thumbnail_file import write_thumbnail  # noqa: PLC0415

    return inspect_each(
        [source], lambda name, _: write_thumbnail(Thumbnailer(), name, target, size, uri), reporter
    )
