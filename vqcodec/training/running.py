"""What every training run needs: device, budget, orderly interruption, options, atomic writing."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from vqcodec.devices import resolve_device
from vqcodec.files import write_atomic


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" is a CUDA device if there is one, else the CPU."""
    return torch.device(resolve_device(name)[0] if name == "auto" else name)


def prepare_cuda() -> None:
    """Settings of a training process for convolutions on a graphics card; they change nothing on a CPU."""
    # The shortcut needs float32: TensorFloat-32 keeps 10 bits, of means of hundreds of steps.
    torch.backends.cudnn.allow_tf32 = False
    # A run has few shapes, so trying algorithms for each pays.
    torch.backends.cudnn.benchmark = True


def faster_in_bfloat16(device: torch.device) -> bool:
    """Does a convolution like those of the transforms take less time in bfloat16 than in float32?

    Timed, since processors without bfloat16 units compute it all the same.
    """
    if device.type != "cpu":
        return True
    x = torch.zeros(1, 128, 32, 32).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(128, 128, 3, 3).contiguous(memory_format=torch.channels_last)
    best = []
    for kind in (torch.float32, torch.bfloat16):
        a, b = x.to(kind), weight.to(kind)
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            nn.functional.conv2d(a, b, padding=1)
            times.append(time.perf_counter() - begun)
        best.append(min(times))
    return best[1] < best[0]


def choose_bfloat16(wanted: bool | None, device: torch.device) -> bool:
    """The setting, or if it is None whether the machine is faster in bfloat16."""
    return faster_in_bfloat16(device) if wanted is None else wanted


def share_used(minutes: float | None, steps: int | None, seconds: float, step: int) -> float:
    """Share of the budget used, 0..1: the larger one where time and steps are both bounded."""
    shares = [0.0]
    if minutes:
        shares.append(seconds / (60 * minutes))
    if steps:
        shares.append(step / steps)
    return min(max(shares), 1.0)


def warm_up(step: int, steps: int) -> float:
    """Factor on the learning rate that rises linearly to 1 over `steps` steps."""
    return min(1.0, (step + 1) / max(steps, 1))


def stop_event() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set from now on, so that the current step ends and is saved."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    return stop


def add_option(parser: argparse.ArgumentParser, item: dataclasses.Field[Any]) -> None:
    """Add the option of a settings field (number, text or switch); its default is None."""
    name = "--" + item.name.replace("_", "-")
    if isinstance(item.default, bool) or item.type == "bool | None":
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=None)
        return
    kind: type = str if isinstance(item.default, str) else float
    if item.name == "steps" or isinstance(item.default, int):
        kind = int
    parser.add_argument(name, type=kind, default=None)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    write_atomic(path, save({n: t.contiguous().clone() for n, t in tensors.items()}, metadata))
