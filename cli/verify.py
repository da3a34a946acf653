"""`vqcodec verify`: whether .vqc files are whole and undamaged."""

from __future__ import annotations

import click

from vqcodec.files import Source, read_source
from vqcodec.types import Limits
from vqcodec_cli import options
from vqcodec_cli.help import help_all
from vqcodec_cli.streams import inspect_each, open_models
from vqcodec_cli.ui import Reporter, info_object


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--decode", is_flag=True, help="Decode the picture as well; needs the model.")
@options.as_json
@options.model
@options.max_pixels
@options.verbosity
@help_all
@click.pass_obj
def verify(
    reporter: Reporter,
    inputs: tuple[str, ...],
    decode: bool,
    as_json: bool,
    model: str | None,
    device: str,
    limits: Limits,
) -> int:
    """Check structure and all checksums of .vqc files, without writing anything.

    Exit code 0 means every file is good.
    """
    from vqcodec.probing import verify as check  # noqa: PLC0415  --help needs no more than click

    models = open_models(device, reporter) if decode else None

    def verify_one(name: str, source: Source) -> None:
        data = read_source(source)
        found = check(data, limits=limits)
        if models is not None:
            models.for_file(found.bitstream_id, model).decompress(data, limits=limits)
        if as_json:
            reporter.json({"file": name, **info_object(found)})
        else:
            reporter.line(f"{name}: OK")

    return inspect_each(inputs, verify_one, reporter, as_json=as_json)
