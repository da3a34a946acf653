"""`vqcodec desktop`: what a freedesktop system has to know of .vqc files, installed and removed.

    DATA/mime/packages/vqcodec.xml             the type image/x-vqc, by suffix and by the first bytes
    DATA/thumbnailers/vqcodec.thumbnailer      `vqcodec thumbnail` for file managers
    DATA/applications/vqcodec-view.desktop     `vqcodec view` for a double click

DATA is XDG_DATA_HOME or ~/.local/share, with --system /usr/local/share.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

from vqcodec.files import data_home, write_atomic
from vqcodec_cli.options import help_all
from vqcodec_cli.ui import Reporter

SYSTEM = Path("/usr/local/share")
_MIME_XML = """<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{mime}">
    <comment>vqcodec picture</comment>
    <generic-icon name="image-x-generic"/>
    <magic priority="60"><match type="string" offset="0" value="{magic}"/></magic>
    <glob pattern="*.vqc"/>
  </mime-type>
</mime-info>
"""
_THUMBNAILER = """[Thumbnailer Entry]
TryExec={program}
Exec={command} thumbnail --uri %u %i %o %s
MimeType={mime};
"""
_VIEWER = """[Desktop Entry]
Type=Application
Name=vqcodec view
Comment=Open a .vqc picture in the viewer for PNG files
TryExec={program}
Exec={command} view %f
MimeType={mime};
NoDisplay=true
"""
_FILES = {
    "mime/packages/vqcodec.xml": _MIME_XML,
    "thumbnailers/vqcodec.thumbnailer": _THUMBNAILER,
    "applications/vqcodec-view.desktop": _VIEWER,
}
_DATABASES = {"update-mime-database": "mime", "update-desktop-database": "applications"}
"""Programs that read these folders again."""


@click.group(short_help="Let file managers of Linux and BSD know .vqc files.")
@help_all
def desktop() -> None:
    """Let file managers of Linux and BSD know .vqc files: type, thumbnails, and what a double click does."""
    if sys.platform in ("win32", "darwin"):
        raise click.UsageError("this is for desktops that follow freedesktop.org")


_system = click.option(
    "--system",
    is_flag=True,
    help=f"For all users, in {SYSTEM}; GNOME shows thumbnails only of what it finds there.",
)


@desktop.command()
@_system
@click.pass_obj
def install(reporter: Reporter, system: bool) -> None:
    """Write the three files, and have the databases read again."""
    words = program_words()
    values = {"program": words[0], "command": " ".join(_quoted(word) for word in words)}
    for name, text in _FILES.items():
        path = data_folder(system) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.format(**values, **_type()).encode())
        reporter.line(f"wrote {path}")
    _read_again(reporter, data_folder(system))


@desktop.command()
@_system
@click.pass_obj
def remove(reporter: Reporter, system: bool) -> None:
    """Remove them again."""
    for name in _FILES:
        path = data_folder(system) / name
        if path.exists():
            path.unlink()
            reporter.line(f"removed {path}")
    _read_again(reporter, data_folder(system))


def data_folder(system: bool = False) -> Path:
    """DATA of the module's description."""
    return SYSTEM if system else data_home()


def program_words() -> list[str]:
    """How to start this program from anywhere: the installed script, or else Python with the module."""
    script = Path(sys.argv[0])
    if script.name == "vqcodec" and script.is_file():
        return [str(script.absolute())]
    found = shutil.which("vqcodec")
    return [found] if found else [sys.executable, "-m", "vqcodec"]


def _type() -> dict[str, str]:
    from vqcodec.bitstream import MAGIC  # noqa: PLC0415  --help needs no more than click
    from vqcodec_cli.thumbnail_file import MIME  # noqa: PLC0415

    return {"mime": MIME, "magic": "".join(f"\\x{byte:02x}" for byte in MAGIC)}


def _quoted(word: str) -> str:
    """A word of a line Exec; % begins a code there."""
    for sign in '\\"`$':
        word = word.replace(sign, "\\" + sign)
    word = word.replace("%", "%%")
    return f'"{word}"' if set(word) & set(" \\\t'()<>~|&;*?#") else word


def _read_again(reporter: Reporter, data: Path) -> None:
    for program, folder in _DATABASES.items():
        found = shutil.which(program)
        if found is None:
            reporter.note(None, f"{program} is not installed; file managers may need a new session")
        elif (data / folder).is_dir():
            done = subprocess.run([found, str(data / folder)], capture_output=True, check=False)
            if done.returncode:
                reporter.note(None, f"{program} failed with {done.returncode}")
