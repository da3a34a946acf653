"""`vqcodec models`: which weights are installed, where, installing more, and their decoders for the web."""

from __future__ import annotations

import errno
from pathlib import Path

import click

from vqcodec.files import exists_already, write_atomic
from vqcodec.weights import zoo
from vqcodec_cli.options import files, folders, help_all
from vqcodec_cli.ui import Reporter, spaced


@click.group()
@help_all
def models() -> None:
    """Show the installed models, or install one.

    Searched are the folders in VQCODEC_MODELS, the user's own (~/.local/share/vqcodec/models), then the
    weights in the package.
    """


@models.command("list")
@click.option("-v", "--verbose", is_flag=True, help="Also show path and notes of each model.")
@click.pass_obj
def list_(reporter: Reporter, verbose: bool) -> None:
    """One line per model: name, fingerprint, size."""
    for info in zoo.list_models():
        ids = f"bitstream {info.bitstream_id or '?'}  decoder {info.decoder_id or '?'}"
        if "realism_id" in info.metadata:
            ids += f"  realism {info.metadata['realism_id']}"
        reporter.show(f"{info.name}  {ids}  {spaced(info.file_bytes)} B")
        if verbose:
            reporter.show(f"  path: {info.path}")
            for key, value in sorted(info.metadata.items()):
                reporter.show(f"  {key}: {value}")


@models.command()
@click.argument("model", default="default")
@click.pass_obj
def path(reporter: Reporter, model: str) -> None:
    """Print the weight file of MODEL.  [default: default]"""
    reporter.show(str(zoo.find_model(model)))


@models.command("import", short_help="Check a weight FILE and install it.")
@click.argument("file", shell_complete=files)
@click.option(
    "--name", metavar="NAME", help="What to call it: letters, digits, '.', '_', '-'.  [default: as FILE]"
)
@click.option("-f", "--force", is_flag=True, help="Replace a model of that name.")
@click.pass_obj
def import_(reporter: Reporter, file: str, name: str | None, force: bool) -> None:
    """Check a weight FILE and copy it to the user's own models, for -m NAME and for files made with it."""
    source = Path(file)
    if name is None:
        name = source.stem if source.suffix.lower() == zoo.SUFFIX else source.name
    try:
        target = zoo.install_path(name)
    except ValueError as error:
        raise click.UsageError(f"{error} (use --name)") from error
    if target.exists() and not force:
        raise exists_already(target)
    if source.exists() and not (source.is_file() or source.is_dir()):
        raise OSError(errno.EINVAL, "is no regular file, which can be read twice", file)
    data = source.read_bytes()
    from vqcodec.weights.loaded import LoadedModel  # noqa: PLC0415  imports torch

    # Loading it is the check: format, fingerprints against content, and tables that can code.
    model = LoadedModel.load(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, data)
    reporter.line(f"{file} -> {target}  bitstream {model.bitstream_id.hex()}  {spaced(len(data))} B")
    first = zoo.find_model(name)
    if not first.samefile(target):
        reporter.note(None, f"{name} still means {first}, which is searched first")


@models.command("export-decoder", short_help="Write what a browser needs of a model to FOLDER.")
@click.argument("folder", shell_complete=folders)
@click.option(
    *("-m", "--model"),
    default="default",
    show_default=True,
    metavar="ID|PATH",
    shell_complete=files,
    help="Model name or weight file.",
)
@click.pass_obj
def export_decoder_(reporter: Reporter, folder: str, model: str) -> None:
    """Write what a browser needs of a model to decode its files to FOLDER, named by its fingerprints."""
    from vqcodec.weights.decoder_file import export_decoder  # noqa: PLC0415  imports numpy

    path = export_decoder(zoo.find_model(model), folder)
    reporter.show(f"{path}  {spaced(path.stat().st_size)} B")
