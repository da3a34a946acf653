"""Real weights <-> integers with a scale for each output.

    folded[o, y, x, i] = real weight * real value of one unit of input i = scale[o] * integer[o, y, x, i]

numpy only, and the same on every machine: decoders quantise mixtures of two decoders with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.operations import KERNEL_SUM_MAX, SUM8_MAX, WEIGHT8_MAX, WORD_MAX, Floats, Words

Real = NDArray[np.float64]
NARROW_MAX = 127
"""Of weights in 8 bits where inputs are in 16."""
_TINY = 1e-30


def to_weight8(folded: Real) -> tuple[NDArray[np.int8], Floats]:
    """Integers (O, k, k, I) with |w| <= 64 and bounded sums, and their scales (O,)."""
    scale = _rounded(np.maximum(np.abs(folded).max((1, 2, 3)) / WEIGHT8_MAX, _TINY))
    while True:
        integer = _divided(folded, scale, WEIGHT8_MAX)
        excess = np.abs(integer).sum((1, 2, 3)) / (SUM8_MAX - 1)
        if excess.max() <= 1:
            return integer.astype(np.int8), scale
        scale = _rounded(np.where(excess > 1, scale * excess * 1.001, scale))


def to_weight16(
    folded: Real, least: NDArray[Any] | float, top: int = WORD_MAX
) -> tuple[NDArray[Any], Floats]:
    """Integers (O, k, k, I) up to `top`, and their scales (O,), at least `least`: so sums fit in 32 bits."""
    scale = np.maximum(np.abs(folded).max((1, 2, 3)) / top, _TINY)
    rounded = _rounded(np.maximum(scale, np.asarray(least, np.float64)))
    return _divided(folded, rounded, top).astype(np.int16 if top > NARROW_MAX else np.int8), rounded


def to_kernels(real: Real) -> tuple[Words, Floats]:
    """Zero-sum kernels (3, K, 5, 5) of s16, and their scales (3, K)."""
    middle, spare = real.shape[2] // 2, 2 * real[0, 0].size
    scale = _rounded(np.maximum(np.abs(real).max((2, 3)) * real[0, 0].size / (KERNEL_SUM_MAX - spare), _TINY))
    integer = np.rint(real / scale[:, :, None, None].astype(np.float64)).astype(np.int64)
    integer[:, :, middle, middle] -= integer.sum((2, 3))
    return integer.astype(np.int16), scale


def to_folded(weight: NDArray[Any], scale: Floats) -> Real:
    """What the integers stand for."""
    folded: Real = weight.astype(np.float64) * _column(scale)
    return folded


def _divided(folded: Real, scale: Floats, top: int) -> NDArray[np.int64]:
    return np.clip(np.rint(folded / _column(scale)), -top, top).astype(np.int64)


def _column(scale: Floats) -> Real:
    return scale.astype(np.float64)[:, None, None, None]


def _rounded(scale: Real) -> Floats:
    return scale.astype(np.float32)
