"""Entry point: the command group, and the only place that turns errors into exit codes of the process."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from vqcodec._version import __version__
from vqcodec.batch.cores import wait_asleep
from vqcodec.errors import VQCodecError
from vqcodec_cli.options import help_all, shows
from vqcodec_cli.signals import orderly_end
from vqcodec_cli.ui import INTERRUPTED, OPERATIONAL, OutputError, Reporter, exit_code

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = """\b
Exit codes:
  0    success
  1    an operation failed: input or output, output exists, memory, no such target or region
  2    wrong usage
  3    the input is not a valid or supported picture or .vqc file
  4    the model is missing, or the file needs another one
  129  the terminal was closed
  130  interrupted
  143  terminated
"""


_HOME = {"verify": "info"}
"""Modules of commands that are not called like them."""
_COMMANDS = ("compress", "decompress", "desktop", "info", "inspect", "models", "thumbnail", "verify", "view")


class Commands(click.Group):
    """All commands; the module of one is imported when it is called, or when help lists it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in order."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The one of this name, if there is one."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"vqcodec_cli.{_HOME.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        return command


def _versions(_ctx: click.Context) -> str:
    from vqcodec.bitstream.header import MAJOR  # noqa: PLC0415  for this option alone, as the others
    from vqcodec.installation import version  # noqa: PLC0415
    from vqcodec.native.choice import engine  # noqa: PLC0415

    libraries = [f"{name} {version(name) or 'missing'}" for name in ("torch", "constriction", "pillow")]
    return ", ".join([f"vqcodec {__version__}", f"format {MAJOR}", f"engine {engine()}", *libraries])


@click.group(cls=Commands, context_settings=_CONTEXT, epilog=_EPILOG)
@shows(_versions, "-V", "--version", help_text="Show versions and exit.")
@help_all
def cli() -> None:
    """A neural image codec: pictures to .vqc files and back."""


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
    except (OutputError, BrokenPipeError) as error:
        cause = error.__cause__ or error
        if not isinstance(cause, BrokenPipeError):  # a reader who went away knows it
            reporter.failure("<stdout>", cause)
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
    """Make sure that stdout takes all we print, and that no file of ours is taken for a standard stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would get its number
            os.open(os.devnull, os.O_RDWR)
    out = sys.__stdout__
    if not isinstance(out, io.TextIOWrapper) or out is not sys.stdout:
        return
    if out.errors == "strict":  # names of files may be any bytes, and in any script
        out.reconfigure(errors="surrogateescape" if out.encoding == "utf-8" else "backslashreplace")
    if isinstance(out.buffer, io.RawIOBase):
        # PYTHONUNBUFFERED: what a short write leaves would be dropped.
        buffered = io.BufferedWriter(io.FileIO(out.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(buffered, out.encoding, out.errors)


if __name__ == "__main__":
    sys.exit(main())
