"""Help in two layers: --help shows what most people need, --help-all every option."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def help_all(function: F) -> F:
    """--help-all, of a command or a group."""
    return click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show,
        help="Show all options and exit.",
    )(function)


def _show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(_full_help(ctx))
        ctx.exit()


def _full_help(ctx: click.Context) -> str:
    """Help with the hidden options, of a group with that of its commands."""
    command = copy.copy(ctx.command)
    command.params = [copy.copy(param) for param in command.params]
    for param in command.params:
        if isinstance(param, click.Option):
            param.hidden = False
    texts = [command.get_help(ctx)]
    if isinstance(ctx.command, click.Group):
        for name, member in ctx.command.commands.items():
            texts.append(_full_help(click.Context(member, info_name=name, parent=ctx)))
    return "\n\n".join(texts)
