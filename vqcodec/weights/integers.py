"""The transforms' layers in real numbers <-> the integers of a weights file.

Names are those of `vqcodec.engine`; how they follow from the float model's, `vqcodec.weights.layout` tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine import quantised
from vqcodec.engine.analysis import LAPPED_STEP, PIXEL_STEP
from vqcodec.engine.hyper import COMPANDED_STEP
from vqcodec.engine.levels import LN2
from vqcodec.engine.operations import CELL_CHANNELS, CELL_SCALE, LOG_SCALE, WORD_MAX

Arrays = dict[str, NDArray[Any]]
CELL_STEPS = np.array([LN2 / LOG_SCALE] * 9 + [1 / CELL_SCALE] * 12 + [1.0] * (CELL_CHANNELS - 21))
"""Real values of a unit of each channel of the restoration's cells: natural logarithms, then samples."""
_FIXED = {
    "g_s.restoration.sense": CELL_STEPS,
    "g_a.linear": np.array([LAPPED_STEP]),
    "g_a.first": np.array([PIXEL_STEP]),
    "h_a.squeeze": np.array([COMPANDED_STEP]),
}
_SHARED = {
    "g_s.linear": "g_s.latent",
    "g_s.first": "g_s.latent",
    "g_s.restoration.guide": "g_s.last",
}
"""Layers with the inputs of another, or with the latent."""
_SQUARES = ("g_a.reduce", "h_a.last")
"""Layers whose inputs are squares of 2x2 positions; a step belongs to a channel of one position."""
_BYTES = re.compile(r".*\.conv[12]|g_a\.first|g_s\.last|g_s\.restoration\.(guide|mix|filter)|h_a\.mix")
"""Layers with inputs and weights in 8 bits."""
_NARROW = ("g_a.reduce", "g_a.last", "h_a.squeeze", "h_a.last")
"""Layers with inputs in 16 bits that lose nothing by weights in 8."""


def input_step(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """The real value of one unit of each input of a layer, (I,) or (1,)."""
    if name in _FIXED:
        return _FIXED[name]
    step = arrays[_SHARED.get(name, name) + ".step"]
    return np.tile(step, 4) if name in _SQUARES else step


def to_integers(
    reals: Mapping[str, NDArray[Any]], steps: Mapping[str, NDArray[Any]], least: Mapping[str, Any]
) -> Arrays:
    """Arrays of a weights file.

    Args:
        reals: weights, biases and modulations of layers, lapping matrices and kernels.
        steps: of their inputs, "X.step", which become part of the result.
        least: bound of the scales of each layer in 16 bits, (O,) or one number.
    """
    arrays: Arrays = {name: np.asarray(step, np.float32) for name, step in steps.items()}
    for key, real in reals.items():
        name, _, part = key.rpartition(".")
        if part == "kernels":
            arrays[key], arrays[f"{key}.scale"] = quantised.to_kernels(real)
        elif part != "weight":
            arrays[key] = real.astype(np.float32)
        else:
            folded = real * input_step(arrays, name).astype(np.float64)
            if _BYTES.fullmatch(name):
                arrays[key], arrays[f"{name}.scale"] = quantised.to_weight8(folded)
            else:
                top = quantised.NARROW_MAX if name in _NARROW else WORD_MAX
                arrays[key], arrays[f"{name}.scale"] = quantised.to_weight16(folded, least[name], top)
    return arrays


def to_reals(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Inverse of `to_integers`, without the steps.

    Raises:
        KeyError: a scale or a step is missing.
    """
    reals = {}
    for key, array in arrays.items():
        name, _, part = key.rpartition(".")
        if part == "weight":
            step = input_step(arrays, name).astype(np.float64)
            reals[key] = quantised.to_folded(array, arrays[f"{name}.scale"]) / step
        elif part == "kernels":
            scale = arrays[f"{key}.scale"].astype(np.float64)
            reals[key] = array.astype(np.float64) * scale[:, :, None, None]
        elif part in ("bias", "modulation", "lapping", "log_gain"):
            reals[key] = array.astype(np.float64)
    return reals
