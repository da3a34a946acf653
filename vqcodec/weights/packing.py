"""Weights of the transforms' convolutions in 8 bits, with a scale for each output: half of a weights file.

w[o] = scale[o] * q[o],   q integers in [-127, 127]
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SCALE_SUFFIX = ".scale"
"""Ends the name of a tensor that holds the scales of another."""
TOP = 127
_MANTISSA = np.uint32(0xFFFFF000)
"""Scales have 12 significant bits, so that their products with `TOP` are exact in float32, and packing what
was unpacked gives the same integers and scales."""


def is_packed(name: str, shape: tuple[int, ...]) -> bool:
    """True for 4-d convolution weights, which are stored as int8."""
    return name.endswith(".weight") and len(shape) == 4


def pack(name: str, weight: NDArray[np.float32]) -> dict[str, np.ndarray]:
    """A convolution's weight (O, I, k, k) as int8, and its scales (O,) float32."""
    largest = np.abs(weight).max((1, 2, 3)).astype(np.float32)
    scale = ((largest / TOP).view(np.uint32) & _MANTISSA).view(np.float32)
    scale = np.where(scale > 0, scale, np.float32(1))
    integers = np.round(weight / scale[:, None, None, None]).clip(-TOP, TOP).astype(np.int8)
    return {name: integers, name + SCALE_SUFFIX: scale}


def unpack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of a weights file in float32, those in 8 bits multiplied out and without their scales."""
    result = {}
    for name, tensor in tensors.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        scale = tensors.get(name + SCALE_SUFFIX)
        values = tensor.astype(np.float32)
        result[name] = values if scale is None else values * scale[:, None, None, None]
    return result
