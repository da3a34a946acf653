"""The restoration, last stage of g_s, in integers; what it does is told in `vqcodec.model.restoration`.

    u --cells--> --sense, + guide--> --mix--> --filter--> draw and gates --mend--> pixels

It works on strips of the picture that stay in the processor's cache.
"""

from __future__ import annotations

import numpy as np

from vqcodec.engine.layers import Arrays, Convolution
from vqcodec.engine.levels import Level
from vqcodec.engine.operations import (
    CELL_SCALE,
    KERNEL_SUM_MAX,
    SIGNED_ZERO,
    ByteMap,
    Bytes,
    FloatMap,
    Operations,
)
from vqcodec.tiling import windows

STRIDE, GUIDE_CELLS = 8, 4
"""Rows of the picture, and of its cells, per row of the guide. A strip has one such row as halo: the network
sees 6 rows up and down."""
STRIP = 128
"""Rows that are restored at once, so that they stay in the processor's cache."""
_ROWS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float64)
OPPONENT_REAL = _ROWS / np.sqrt((_ROWS * _ROWS).sum(1, keepdims=True))
"""Orthonormal rows: brightness, red against blue, green against both."""
OPPONENT = OPPONENT_REAL.astype(np.float32)


class Restoration:
    """Picture in opponent colour to pixels."""

    def __init__(self, ops: Operations, arrays: Arrays, name: str) -> None:
        """Read layers `name.guide`, `.sense`, `.mix` and `.filter`, and `name.kernels`.

        Raises:
            KeyError, ValueError: an array is missing, or of another type or shape.
        """
        self._ops, modulation = ops, arrays[f"{name}.sense.modulation"]
        first, second = arrays[f"{name}.mix.step"], arrays[f"{name}.filter.step"]
        # The guide is added before the modulation, which scales it and shifts the sum only once.
        factors = np.tile(modulation[:, : len(first)], GUIDE_CELLS**2)
        guided = np.concatenate([factors, np.zeros_like(factors)], 1)
        out = np.tile(first, GUIDE_CELLS**2)
        self._guide = Convolution(ops, arrays, f"{name}.guide", out, modulation=guided, zero=SIGNED_ZERO)
        self._sense = Convolution(ops, arrays, f"{name}.sense", first)
        self._mix = Convolution(ops, arrays, f"{name}.mix", second, zero=0)
        kernels = arrays[f"{name}.kernels"]
        sums = np.abs(kernels.astype(np.int64)).sum((2, 3))
        if kernels.dtype != np.int16 or sums.max() > KERNEL_SUM_MAX:
            raise ValueError(f"{name}: kernels break the bounds of exact arithmetic")
        self._kernels, self._colour = ops.enter(kernels), ops.enter(OPPONENT)
        # Answers of kernels stay integers; their scale is that of the gates.
        gates = np.repeat(arrays[f"{name}.kernels.scale"].T.ravel() / np.float32(CELL_SCALE), 4)
        gain = np.concatenate([np.ones(12), gates.astype(np.float64)])
        self._filter = Convolution(ops, arrays, f"{name}.filter", gain=gain, zero=0)

    def __call__(self, u: FloatMap, guide: ByteMap, level: Level) -> Bytes:
        """Pixels (8H, 8W, 3) of u (8H, 8W, 3) around 0, with the last features (H, W, C) of g_s."""
        ops, layers = self._ops, (self._guide, self._sense, self._mix, self._filter)
        lead, sense, mix, filtering = (layer.at(level) for layer in layers)
        whole = ops.restore(u, guide, lead, sense, mix, filtering, self._kernels, self._colour)
        if whole is not None:
            return ops.leave(whole)
        rows, columns = guide.shape[:2]
        parts = []
        for strip in windows((rows, columns), (STRIP // STRIDE, columns), halo=1):
            pixels = strip.scaled(STRIDE)
            part = self._restored(u[pixels.outer], guide[strip.outer], level)
            top = pixels.inner[0].start - pixels.outer[0].start
            parts.append(part[top : top + pixels.inner[0].stop - pixels.inner[0].start])
        return ops.join(parts)

    def _restored(self, u: FloatMap, guide: ByteMap, level: Level) -> ByteMap:
        ops = self._ops
        cells = ops.cells(u)
        led = ops.shuffle(ops.conv8(guide, *self._guide.at(level)), GUIDE_CELLS)
        hidden = ops.conv16_relu(cells, *self._sense.at(level), led)
        hidden = ops.conv8_relu(hidden, *self._mix.at(level))
        return ops.mend(u, cells, ops.conv8(hidden, *self._filter.at(level)), self._kernels, self._colour)
