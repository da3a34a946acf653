"""`vqcodec models`: which weights are installed, and where."""

from __future__ import annotations

import click

from vqcodec_cli.ui import spaced


@click.group()
def models() -> None:
    """Show the installed models.

    Searched are the folders in VQCODEC_MODELS, the user's own (~/.local/share/vqcodec/models), then the
    weights in the package.
    """


@models.command("list")
@click.option("-v", "--verbose", is_flag=True, help="Also show path and notes of each model.")
def list_(verbose: bool) -> None:
    """One line per model: name, fingerprint, size."""
    from vqcodec import zoo  # noqa: PLC0415  --help needs no more than click

    for info in zoo.list_models():
        ids = f"bitstream {info.bitstream_id or '?'}  decoder {info.decoder_id or '?'}"
        click.echo(f"{info.name}  {ids}  {spaced(info.file_bytes)} B")
        if verbose:
            click.echo(f"  path: {info.path}")
            for key, value in sorted(info.metadata.items()):
                click.echo(f"  {key}: {value}")


@models.command()
@click.argument("model", default="default")
def path(model: str) -> None:
    """Print the weight file of MODEL.  [default: default]"""
    from vqcodec import zoo  # noqa: PLC0415  as above

    click.echo(zoo.find_model(model))
