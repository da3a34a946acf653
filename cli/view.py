"""`vqcodec view`: a .vqc file in the system's viewer of pictures, by way of a PNG file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from vqcodec.files import Source
from vqcodec.types import Limits
from vqcodec_cli import options
from vqcodec_cli.streams import inspect_each, open_models
from vqcodec_cli.ui import Reporter

PREFIX = "vqcodec-view-"
KEPT_SECONDS = 24 * 3600
"""Nobody tells when a viewer is closed, so pictures of earlier calls go after a day, with the next call."""


@click.command()
@click.argument("file", type=options.Name(), shell_complete=options.files)
@options.model
@click.option("--realism", type=options.Finite(0, 1), default=0.0, metavar="0..1", help="As of decompress.")
@options.max_pixels
@options.common
def view(
    reporter: Reporter, file: str, model: str | None, device: str, realism: float, limits: Limits
) -> int:
    """Open the picture in a .vqc FILE in the system's viewer."""
    opener = viewer()

    def view_one(name: str, source: Source) -> None:
        from vqcodec.probing import probe  # noqa: PLC0415  --help needs no more than click

        codec = open_models(device, reporter).for_file(probe(source, limits=limits).bitstream_id, model)
        clear_old()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            target = folder / (Path(name).stem + ".png")
            codec.decompress_file(source, target, realism=realism, limits=limits)
            show(opener, target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    return inspect_each([file], view_one, reporter)


def viewer() -> str | None:
    """The program that opens a file in whatever is meant for it; None for the function of Windows.

    Raises:
        OSError: there is none.
    """
    if hasattr(os, "startfile"):
        return None
    name = "open" if sys.platform == "darwin" else "xdg-open"
    if (found := shutil.which(name)) is None:
        raise OSError(f"there is no viewer to open pictures with: {name} was not found")
    return found


def show(opener: str | None, path: Path) -> None:
    """Open a file.

    Raises:
        OSError: the viewer refused.
    """
    if opener is None:
        os.startfile(path)  # type: ignore[attr-defined, unused-ignore]  # Windows has it
        return
    code = subprocess.run([opener, str(path)], stderr=subprocess.DEVNULL, check=False).returncode
    if code:
        # What it said of other programs it has tried is no help.
        raise OSError(f"{opener} could not open the picture (exit code {code})")


def clear_old() -> None:
    """Remove what earlier calls left."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            old = time.time() - folder.stat().st_mtime > KEPT_SECONDS
        except OSError:
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)
