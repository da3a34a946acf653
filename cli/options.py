"""Options that several commands share, and checks that make wrong values usage errors.

Help has two layers: --help shows what most people need, --help-all every option.
"""

from __future__ import annotations

import copy
import functools
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vqcodec.devices import check_device
from vqcodec.image.metadata import parse_kinds
from vqcodec.types import Limits, Region
from vqcodec_cli.ui import Reporter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


def together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator; help shows them in this order."""
    return lambda function: functools.reduce(lambda f, decorate: decorate(f), reversed(decorators), function)


def checked(convert: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that converts an option's value if there is one; a ValueError becomes a usage error."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        try:
            return None if value is None else convert(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


class Finite(click.FloatRange):
    """A range of numbers; nan is in none of them, and infinity is no number to ask for."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click does, but for what is no finite number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Name(click.types.StringParamType):
    """Of a file, folder or model. An empty one, as of a variable that is not set, would mean this folder."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is, but for an empty one."""
        if not value:
            self.fail("a name is empty.", param, ctx)
        return str(super().convert(value, param, ctx))


def _offered(kind: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completion in the shell by its own rules for "file" or "dir", which looks at no name here."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  for those who complete

        return [CompletionItem(incomplete, type=kind)]

    return complete


files, folders = _offered("file"), _offered("dir")


def tile(side: int) -> int:
    """Check a tile size."""
    if side % 64 or not 0 <= side <= 65_472:
        raise ValueError("must be 0 or a multiple of 64 up to 65472")
    return side


def suffixes(text: str) -> tuple[str, ...]:
    """Turn "png,.JPG" into (".png", ".jpg")."""
    words = [word.strip().lower().lstrip(".") for word in text.split(",")]
    if not all(words):
        raise ValueError("must be a list like png,jpg")
    return tuple("." + word for word in words)


def region(text: str) -> Region:
    """Four numbers of the form X,Y,W,H."""
    found = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text)
    if not found:
        raise ValueError("four whole numbers X,Y,W,H are wanted")
    x, y, width, height = map(int, found.groups())
    if not (width and height):
        raise ValueError("width and height must not be 0")
    return x, y, width, height


def _device(name: str) -> str:
    check_device(name)
    return name


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    setattr(ctx.ensure_object(Reporter), str(param.name), value)


def shows(text: Callable[[click.Context], str], *names: str, help_text: str) -> Callable[[F], F]:
    """An option that prints a text and ends the program."""

    def callback(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(text(ctx))
            ctx.exit()

    return click.option(
        *names, is_flag=True, is_eager=True, expose_value=False, callback=callback, help=help_text
    )


def _full_help(ctx: click.Context) -> str:
    """Help with the hidden options, of a group with that of its commands."""
    command = copy.copy(ctx.command)
    command.params = [copy.copy(param) for param in command.params]
    for param in command.params:
        if isinstance(param, click.Option):
            param.hidden = False
    texts = [command.get_help(ctx)]
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            member = ctx.command.get_command(ctx, name)
            if member is not None:
                texts.append(_full_help(click.Context(member, info_name=name, parent=ctx)))
    return "\n\n".join(texts)


help_all = shows(_full_help, "--help-all", help_text="Show all options and exit.")
_of_reporter = functools.partial(click.option, expose_value=False, callback=_set)

common = together(
    _of_reporter("--quiet", is_flag=True, help="Say nothing but errors."),
    _of_reporter("-v", "--verbose", "verbosity", count=True, help="Say more; -vv shows tracebacks."),
    help_all,
    click.pass_obj,
)
"""--quiet, -v (repeatable) and --help-all. The first two set the reporter that the command is called with."""

inputs = click.argument(
    "inputs", type=Name(), nargs=-1, required=True, metavar="INPUT...", shell_complete=files
)

as_json = _of_reporter(
    "--json", "as_json", is_flag=True, help="One JSON object per file on stdout, of failures too."
)

output = together(
    inputs,
    click.option(
        *("-o", "--output"),
        type=Name(),
        metavar="PATH",
        shell_complete=files,
        help="Output of a single input; - is stdout.",
    ),
    click.option(
        "--output-dir",
        type=Name(),
        metavar="DIR",
        shell_complete=folders,
        help="Put outputs there, mirroring the input folders.",
    ),
    click.option("-f", "--force", is_flag=True, help="Overwrite files; write binary to a terminal."),
    click.option("--skip-existing", is_flag=True, help="Leave inputs whose output exists alone."),
    click.option("-r", "--recursive", is_flag=True, help="Search folders, but not links to folders."),
    click.option("--preserve", is_flag=True, help="Give outputs the permissions and times of their inputs."),
    click.option(
        *("-j", "--jobs"),
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        metavar="N",
        help="Worker processes on the CPU, for many files; 0 = one for each core. Results come as they "
        "finish.",
    ),
    click.option(
        "--engine",
        type=click.Choice(("local", "ray")),
        default="local",
        show_default=True,
        help="ray: on a Ray cluster; takes s3://, gs://, .tar shards and .parquet files too; -j counts its "
        "workers (all that fit, unless given).",
    ),
    click.option("--address", metavar="HOST:PORT", help="Of the Ray cluster; or else one is started here."),
    click.option(
        "--manifest",
        metavar="DIR",
        hidden=True,
        shell_complete=folders,
        help="With --engine ray: a Parquet table of results.",
    ),
    click.option("--fail-fast", is_flag=True, hidden=True, help="Stop at the first failure."),
    click.option("--no-progress", is_flag=True, hidden=True, help="No progress bar on a terminal."),
    as_json,
)
"""Inputs, where results go and what happens to files that are there."""

metadata = click.option(
    "--metadata",
    default="all",
    show_default=True,
    metavar="all|none|LIST",
    callback=checked(parse_kinds),
    help="Blocks to keep: a list of icc, exif, xmp. Without icc, pixels become sRGB. exact, alone or in the "
    "list: all their bytes, with thumbnails, maker notes and padding.",
)

model = together(
    click.option(
        *("-m", "--model"),
        type=Name(),
        metavar="ID|PATH",
        shell_complete=files,
        help="Model name or weight file.",
    ),
    click.option(
        *("-d", "--device"),
        default="auto",
        show_default=True,
        metavar="NAME",
        callback=checked(_device),
        help="Where the networks run: auto, cpu, cuda, cuda:N or mps.",
    ),
)

max_pixels = click.option(
    *("--max-pixels", "limits"),
    type=click.IntRange(min=0),
    default=Limits().pixels,
    show_default=True,
    callback=checked(
        lambda pixels: Limits(pixels) if 0 < pixels <= Limits().pixels else Limits(pixels, side=0)
    ),
    hidden=True,
    help="Refuse larger pictures; 0 = unlimited. More than the default also lifts the limit of 32768 a side.",
)
"""The bound on a picture's size."""
