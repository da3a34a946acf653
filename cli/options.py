"""Options that several commands share, and checks that make wrong values usage errors."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from vqcodec.image.metadata import parse_kinds
from vqcodec.types import PRECISIONS, Limits, Region
from vqcodec_cli.ui import Reporter

F = TypeVar("F", bound=Callable[..., Any])


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator; help shows them in this order."""
    return lambda function: functools.reduce(lambda f, decorate: decorate(f), reversed(decorators), function)


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    setattr(ctx.ensure_object(Reporter), str(param.name), value)


def _limits(_ctx: click.Context, _param: click.Parameter, value: int) -> Limits:
    return Limits(pixels=value, side=0) if value == 0 else Limits(pixels=value)


def _metadata(_ctx: click.Context, _param: click.Parameter, value: str) -> frozenset[str]:
    try:
        return parse_kinds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _device(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise click.BadParameter("must be auto, cpu, cuda, cuda:N or mps")
    return value


quiet = click.option(
    "--quiet", is_flag=True, expose_value=False, callback=_set, help="Say nothing but errors."
)
verbose = click.option(
    *("-v", "--verbose", "verbosity"),
    count=True,
    expose_value=False,
    callback=_set,
    help="Say more; -vv shows tracebacks.",
)
verbosity = together(quiet, verbose)
"""--quiet and -v (repeatable), which set the reporter."""

as_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per file on stdout, of failures too."
)

output = together(
    click.option("-o", "--output", metavar="PATH", help="Output of a single input; - is stdout."),
    click.option("--output-dir", metavar="DIR", help="Put outputs there, mirroring the input folders."),
    click.option("-f", "--force", is_flag=True, help="Overwrite files; write binary to a terminal."),
    click.option("--skip-existing", is_flag=True, help="Leave inputs whose output exists alone."),
    click.option("-r", "--recursive", is_flag=True, help="Search folders."),
    click.option(
        *("-j", "--jobs"),
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        metavar="N",
        help="Worker processes on the CPU, for many files; 0 = one for each core. Results come as they "
        "finish.",
    ),
    click.option("--fail-fast", is_flag=True, hidden=True, help="Stop at the first failure."),
    click.option("--no-progress", is_flag=True, hidden=True, help="No progress bar on a terminal."),
    as_json,
)
"""Where results go and what happens to files that are there."""

model = together(
    click.option("-m", "--model", metavar="ID|PATH", help="Model name or weight file."),
    click.option(
        *("-d", "--device"),
        default="auto",
        show_default=True,
        callback=_device,
        help="auto, cpu, cuda, cuda:N or mps.",
    ),
)

batch_size = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    hidden=True,
    metavar="N",
    help="Tiles of a picture that go through the network at once.  [default: 1 on a CPU, else 8]",
)

precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    hidden=True,
    help="Of the transforms; auto is bfloat16 where the CPU has units for it.",
)

metadata = click.option(
    "--metadata",
    default="all",
    show_default=True,
    metavar="all|none|LIST",
    callback=_metadata,
    help="Blocks to keep: a list of icc, exif, xmp. Without icc, pixels become sRGB.",
)

max_pixels = click.option(
    *("--max-pixels", "limits"),
    type=click.IntRange(min=0),
    default=Limits().pixels,
    show_default=True,
    callback=_limits,
    hidden=True,
    help="Refuse larger pictures; 0 = unlimited.",
)
"""The decoder's bound on the picture's size."""


def tile(_ctx: click.Context, _param: click.Parameter, value: int) -> int:
    """Check a tile size."""
    if value % 64 or not 0 <= value <= 65_472:
        raise click.BadParameter("must be 0 or a multiple of 64 up to 65472")
    return value


def suffixes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Turn "png,.JPG" into (".png", ".jpg")."""
    if value is None:
        return None
    words = [word.strip().lower().lstrip(".") for word in value.split(",")]
    if not all(words):
        raise click.BadParameter("must be a list like png,jpg")
    return tuple("." + word for word in words)


def region(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Region | None:
    """Four numbers of the form X,Y,W,H."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", value)
    if not found:
        raise click.BadParameter("four whole numbers X,Y,W,H are wanted")
    x, y, width, height = map(int, found.groups())
    return x, y, width, height
