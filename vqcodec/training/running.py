"""What every training run needs: a device, a budget, a polite end, options, states never half written."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from vqcodec.loading import resolve_device


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" is a CUDA device if there is one, else the CPU."""
    return torch.device(resolve_device(name)[0] if name == "auto" else name)


def share_used(minutes: float | None, steps: int | None, seconds: float, step: int) -> float:
    """Share of the budget used, 0..1: the larger one where time and steps are both bounded."""
    shares = [0.0]
    if minutes:
        shares.append(seconds / (60 * minutes))
    if steps:
        shares.append(step / steps)
    return min(max(shares), 1.0)


def stop_event() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set from now on: the step that is running ends, and is saved."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    return stop


def add_option(parser: argparse.ArgumentParser, item: dataclasses.Field[Any]) -> None:
    """The option of a settings field that is a number, text or a switch; None where it is not given."""
    name = "--" + item.name.replace("_", "-")
    if isinstance(item.default, bool):
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=None)
        return
    kind: type = str if isinstance(item.default, str) else float
    if item.name == "steps" or isinstance(item.default, int):
        kind = int
    parser.add_argument(name, type=kind, default=None)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file; an older one stays until the new one is whole."""
    temporary = path.with_name(path.name + ".part")
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, temporary, metadata=metadata)
    temporary.replace(path)
