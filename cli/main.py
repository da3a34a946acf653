"""Entry point: the command group, and the only place that turns errors into exit codes of the process."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from vqcodec._version import __version__
from vqcodec.batch.workers import wait_asleep
from vqcodec.bitstream.header import MAJOR
from vqcodec.errors import VQCodecError
from vqcodec.installation import version
from vqcodec.native.choice import engine
from vqcodec_cli.compress import compress
from vqcodec_cli.decompress import decompress
from vqcodec_cli.desktop import desktop
from vqcodec_cli.info import info, verify
from vqcodec_cli.inspect import inspect
from vqcodec_cli.models import models
from vqcodec_cli.options import help_all, shows
from vqcodec_cli.signals import orderly_end
from vqcodec_cli.thumbnail import thumbnail
from vqcodec_cli.ui import INTERRUPTED, OPERATIONAL, Reporter, exit_code
from vqcodec_cli.view import view

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = """\b
Exit codes:
  0    success
  1    an operation failed: input or output, output exists, memory, no such target or region
  2    wrong usage
  3    the input is not a valid or supported picture or .vqc file
  4    the model is missing, or the file needs another one
  130  interrupted
  143  terminated
"""


def _versions(_ctx: click.Context) -> str:
    libraries = [f"{name} {version(name) or 'missing'}" for name in ("torch", "constriction", "pillow")]
    return ", ".join([f"vqcodec {__version__}", f"format {MAJOR}", f"engine {engine()}", *libraries])


@click.group(context_settings=_CONTEXT, epilog=_EPILOG)
@shows(_versions, "-V", "--version", help_text="Show versions and exit.")
@help_all
def cli() -> None:
    """A neural image codec: pictures to .vqc files and back."""


for command in (compress, decompress, info, inspect, verify, models, view, thumbnail, desktop):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; expected errors become one line on stderr."""
    wait_asleep()
    reporter = Reporter()
    try:
        _ready_streams()
        with orderly_end():
            code = cli.main(args=argv, prog_name="vqcodec", standalone_mode=False, obj=reporter)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        reporter.error(None, "interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader went away
        _give_up_stdout()
        return OPERATIONAL
    except (VQCodecError, OSError, MemoryError) as error:
        reporter.failure(None, error)
        _give_up_stdout()
        return exit_code(error)
    except Exception as error:  # noqa: BLE001  the last resort: a bug must not look like a bad file
        if reporter.verbosity >= 2:
            traceback.print_exc()
        reporter.error(None, f"internal error: {type(error).__name__}: {error} (-vv shows where)")
        return OPERATIONAL
    return code if isinstance(code, int) else 0


def _give_up_stdout() -> None:
    """Where what is left for stdout cannot be written, the interpreter would complain again at its exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ready_streams() -> None:
    """Make sure that no byte of stdout is lost, and that no file of ours is taken for a standard stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would get its number
            os.open(os.devnull, os.O_RDWR)
    out = sys.__stdout__
    if out is not None and out is sys.stdout and isinstance(getattr(out, "buffer", None), io.RawIOBase):
        # PYTHONUNBUFFERED: what a short write leaves would be dropped.
        buffered = io.BufferedWriter(io.FileIO(out.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(buffered, out.encoding, out.errors)


if __name__ == "__main__":
    sys.exit(main())
