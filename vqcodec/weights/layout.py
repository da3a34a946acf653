"""The transforms' parameters in the float model <-> the layers of the engine, in real numbers.

The engine's maps have their channels last, those of squares of pixels in the order (row, column, channel),
and its pictures are in opponent colour to the end; constants that the float model has between layers are in
weights here. Weights become (O, k, k, I). Neither direction loses anything but to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.operations import CELL_CHANNELS
from vqcodec.engine.restoration import OPPONENT
from vqcodec.model.dial import LEVEL_KNOTS
from vqcodec.model.shortcut import dct_filters

Tensors = Mapping[str, NDArray[Any]]
Reals = dict[str, NDArray[np.float64]]
_NAMES = (
    ("g_s.head.", "g_s.first."),
    ("g_s.blocks_deep.", "g_s.coarse."),
    ("g_s.up.", "g_s.expand."),
    ("g_s.blocks_wide.", "g_s.fine."),
    ("g_s.tail.", "g_s.last."),
    ("g_a.head.", "g_a.first."),
    ("g_a.blocks_wide.", "g_a.fine."),
    ("g_a.down.", "g_a.reduce."),
    ("g_a.blocks_deep.", "g_a.coarse."),
    ("g_a.tail.", "g_a.last."),
    ("h_a.tail.", "h_a.last."),
    ("restoration.modulation.table", "restoration.sense.modulation"),
    (".modulation.table", ".conv1.modulation"),
)
"""Parts of names in the float model, and in the engine."""
_SQUARES = {
    "g_s.expand": (2, 0),
    "g_s.restoration.guide": (4, 0),
    "g_a.first": (8, 3),
    "g_a.reduce": (2, 3),
    "h_a.squeeze": (2, 3),
    "h_a.last": (2, 3),
}
"""Layers that put out (axis 0) or take in (axis 3) the positions of a square as channels, and its side."""
_TABLES = ("modulation.table", "log_gain")
"""Tables over the dial: rows of one tune after those of the other here, with an axis for tunes in a file."""
_RESTORATION = "g_s.restoration"
_HALF_PIXEL = 0.5 / 255
"""From 127.5, around which the float model has pixels, to 128."""
_COLOUR: NDArray[np.float64] = OPPONENT.astype(np.float64)


def to_layers(tensors: Tensors) -> Reals:
    """The engine's layers from the parameters of `vqcodec.model.vqvae.Transforms`, or of its g_s, by name."""
    reals: Reals = {}
    for name, tensor in tensors.items():
        real = tensor.astype(np.float64)
        convolution = name.endswith(".weight") and real.ndim == 4
        if name.endswith(_TABLES) and len(real) > LEVEL_KNOTS:
            real = real.reshape(-1, LEVEL_KNOTS, real.shape[1])
        reals[_renamed(name, 0)] = real.transpose(0, 2, 3, 1) if convolution else real
    for layer, (side, axis) in _SQUARES.items():
        for key in (f"{layer}.weight", f"{layer}.bias"):
            if key in reals and axis < reals[key].ndim:
                reals[key] = _swapped(reals[key], axis, reals[key].shape[axis] // side**2)
    if "g_a.shortcut" in reals:
        filters = reals.pop("g_a.shortcut")
        reals["g_a.linear.weight"] = filters.transpose(0, 2, 3, 1).reshape(len(filters), 1, 1, -1)
    if "g_a.first.weight" in reals:
        reals["g_a.first.bias"] = reals["g_a.first.bias"] + _HALF_PIXEL * reals["g_a.first.weight"].sum(
            (1, 2, 3)
        )
    opponent = np.einsum("dc,mcij->ijdm", _COLOUR, reals.pop("g_s.shortcut"))
    reals["g_s.linear.weight"] = opponent.reshape(-1, 1, 1, opponent.shape[3])
    reals["g_s.first.weight"] = reals["g_s.first.weight"] / reals.pop("g_s.deviation")
    for key in ("g_s.last.weight", "g_s.last.bias"):
        x = reals[key]
        reals[key] = np.einsum("dc,cp...->pd...", _COLOUR, x.reshape(3, -1, *x.shape[1:])).reshape(x.shape)
    return _join_restoration(reals)


def to_parameters(reals: Tensors) -> Reals:
    """Inverse of `to_layers`; kernels come back as they act, with a sum of zero."""
    parts = _split_restoration({name: real.astype(np.float64) for name, real in reals.items()})
    for layer, (side, axis) in _SQUARES.items():
        for key in (f"{layer}.weight", f"{layer}.bias"):
            if key in parts and axis < parts[key].ndim:
                parts[key] = _swapped(parts[key], axis, side**2)
    if "g_a.linear.weight" in parts:
        filters = parts.pop("g_a.linear.weight")
        parts["g_a.shortcut"] = filters.reshape(len(filters), 16, 16, 3).transpose(0, 3, 1, 2)
    if "g_a.first.weight" in parts:
        parts["g_a.first.bias"] = parts["g_a.first.bias"] - _HALF_PIXEL * parts["g_a.first.weight"].sum(
            (1, 2, 3)
        )
    filters = parts.pop("g_s.linear.weight").reshape(16, 16, 3, -1)
    parts["g_s.shortcut"] = np.einsum("dc,ijdm->mcij", _COLOUR, filters)
    parts["g_s.deviation"] = dct_filters(filters.shape[3])[1].numpy().astype(np.float64)
    parts["g_s.first.weight"] = parts["g_s.first.weight"] * parts["g_s.deviation"]
    for key in ("g_s.last.weight", "g_s.last.bias"):
        x = parts[key]
        parts[key] = np.einsum("dc,pd...->cp...", _COLOUR, x.reshape(-1, 3, *x.shape[1:])).reshape(x.shape)
    tensors: Reals = {}
    for name, real in parts.items():
        convolution = name.endswith(".weight") and real.ndim == 4
        known = _renamed(name, 1)
        table = real.reshape(-1, real.shape[-1]) if known.endswith(_TABLES) else real
        tensors[known] = real.transpose(0, 3, 1, 2) if convolution else table
    return tensors


def _renamed(name: str, side: int) -> str:
    for pair in _NAMES:
        name = name.replace(pair[side], pair[1 - side])
    return name


def _swapped(x: NDArray[Any], axis: int, count: int) -> NDArray[Any]:
    """An axis of (count, n) reordered to (n, count)."""
    parts = x.reshape(*x.shape[:axis], count, -1, *x.shape[axis + 1 :])
    return parts.swapaxes(axis, axis + 1).reshape(x.shape)


def _join_restoration(reals: Reals) -> Reals:
    """Layers that look at the same become one: `look` and `see`, `draw` and `gates`, kernel after kernel."""
    name = _RESTORATION
    look, see = (reals.pop(f"{name}.{part}.weight") for part in ("look", "see"))
    padding = np.zeros((*look.shape[:3], CELL_CHANNELS - look.shape[3] - see.shape[3]))
    reals[f"{name}.sense.weight"] = np.concatenate([look, see, padding], 3)
    reals[f"{name}.sense.bias"] = reals.pop(f"{name}.look.bias")
    for part in ("weight", "bias"):
        draw, gates = (reals.pop(f"{name}.{layer}.{part}") for layer in ("draw", "gates"))
        by_kernel = gates.reshape(3, -1, 4, *gates.shape[1:]).swapaxes(0, 1).reshape(gates.shape)
        reals[f"{name}.filter.{part}"] = np.concatenate([draw, by_kernel])
    kernels = reals[f"{name}.kernels"]
    kernels = kernels.reshape(3, -1, *kernels.shape[2:]).copy()
    middle = kernels.shape[2] // 2
    kernels[:, :, middle, middle] -= kernels.sum((2, 3))
    return reals | {f"{name}.kernels": kernels}


def _split_restoration(reals: Reals) -> Reals:
    name = _RESTORATION
    sense = reals.pop(f"{name}.sense.weight")
    reals |= {f"{name}.look.weight": sense[..., :9], f"{name}.see.weight": sense[..., 9:21]}
    reals[f"{name}.look.bias"] = reals.pop(f"{name}.sense.bias")
    for part in ("weight", "bias"):
        both = reals.pop(f"{name}.filter.{part}")
        gates = both[12:].reshape(-1, 3, 4, *both.shape[1:]).swapaxes(0, 1).reshape(both[12:].shape)
        reals |= {f"{name}.draw.{part}": both[:12], f"{name}.gates.{part}": gates}
    kernels = reals[f"{name}.kernels"]
    return reals | {f"{name}.kernels": kernels.reshape(-1, 1, *kernels.shape[2:])}
