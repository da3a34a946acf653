"""The settings of a run as options of a command, and what is wrong with them."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from vqcodec.devices import resolve_device
from vqcodec.training.config import RunConfig

C = TypeVar("C", bound=RunConfig)
CROP_UNIT = 32
"""Sides of crops are multiples of this many pixels."""
_LEAST = {
    **dict.fromkeys(("steps", "batch", "log_every"), 1),
    **dict.fromkeys(("minutes", "learning_rate", "slow", "fast", "discriminator_rate"), 0),
    **dict.fromkeys(("warmup", "save_minutes", "seed", "threads", "revive_every"), 0),
}
"""Settings that are no smaller."""
_MOST = {"seed": 2**63 - 1, "threads": 2**15}
"""Settings that are no larger: torch takes no more."""
_SHARES = ("mse_share", "begin")
"""Settings from 0 to 1."""


def add_options(parser: argparse.ArgumentParser, kind: type[RunConfig], state: str) -> None:
    """Add --resume, and an option, None by default, for each number, text and switch of the settings."""
    for item in dataclasses.fields(kind):
        name = "--" + item.name.replace("_", "-")
        if isinstance(item.default, bool) or item.type == "bool | None":
            text = kind.help_of(item.name)
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif item.default is not dataclasses.MISSING:
            whole = item.name == "steps" or isinstance(item.default, int)
            value = str if isinstance(item.default, str) else int if whole else float
            usual = "" if item.default in (None, "") else f"  [default: {item.default}]"
            sign = "N" if value is int else "X" if value is float else "TEXT"
            parser.add_argument(name, type=value, metavar=sign, help=kind.help_of(item.name) + usual)
    parser.add_argument("--resume", action="store_true", help=f"go on from OUT/{state}")


def kept(state: Path) -> str:
    """Why a new run does not begin where the state of another lies."""
    return f"--out: {state} is there, and would be replaced; --resume goes on with it"


def given_settings(arguments: argparse.Namespace, kind: type[RunConfig]) -> dict[str, Any]:
    """The settings that were given as options."""
    values = {item.name: getattr(arguments, item.name, None) for item in dataclasses.fields(kind)}
    return {name: value for name, value in values.items() if value is not None}


def check_least(parser: argparse.ArgumentParser, settings: object, least: Mapping[str, int]) -> None:
    """End the program where a setting, of those that there are, is below its least value, or nan."""
    for name, bound in least.items():
        value = getattr(settings, name, None)
        if value is not None and not value >= bound:
            parser.error(f"--{name.replace('_', '-')} is {bound} or more, not {value}")


def make_config(parser: argparse.ArgumentParser, kind: type[C], settings: dict[str, Any]) -> C:
    """Settings of a run; the parser ends the program where one is missing or wrong."""
    try:
        config = kind(**settings)
    except TypeError as error:  # only a state can have settings that no option gave
        parser.error(f"--resume: the state is of another version ({error})")
    if not config.data or not (config.minutes or config.steps):
        parser.error("--data and one of --minutes, --steps are needed")
    if config.cache is not None and not config.cache >= 0:
        parser.error("--cache is a number of GB, not below 0")
    check_least(parser, config, _LEAST)
    for name, bound in _MOST.items():
        if getattr(config, name) > bound:
            parser.error(f"--{name} is at most {bound}")
    for name in _SHARES:
        if not 0 <= getattr(config, name, 0) <= 1:
            parser.error(f"--{name.replace('_', '-')} is from 0 to 1")
    try:
        if resolve_device(config.device)[1]:
            parser.error(f"--device {config.device}: not available on this machine")
    except ValueError as error:
        parser.error(str(error))
    for name in ("crop", "late_crop"):
        side = getattr(config, name, CROP_UNIT)
        if side < CROP_UNIT or side % CROP_UNIT:
            parser.error(f"--{name.replace('_', '-')} is a multiple of {CROP_UNIT}, not {side}")
    return config
