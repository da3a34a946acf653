"""Analysis transform g_a in integers: pixels to a latent; the layers are those of `vqcodec.model.encoder`.

    p --first, unshuffled 8--> blocks at 1/8 --reduce, unshuffled 2--> blocks at 1/16 --last--> +--> y
    p ------- lapping, then linear: 16x16 filters with stride 16 -------------------------------+

The network sees pixels as they are, around 128; the linear half is symmetric around 127.5.
"""

from __future__ import annotations

import numpy as np

from vqcodec.engine.layers import Arrays, Convolution, inverse, read_blocks
from vqcodec.engine.levels import between_knots, exp
from vqcodec.engine.operations import SIGNED_ZERO, ByteMap, Bytes, Floats, Operations, WordMap
from vqcodec.tiling import BLOCK, Window, scaled, within

PIXEL_STEP = 1 / 255
LAPPED_STEP = PIXEL_STEP / 64
"""Of twice a pixel less 255, after lapping, in steps of 1/32."""
LAPPED_SCALE = 32
COARSE_REACH, LINEAR_REACH = 6, 1
"""Blocks that the stages at 1/16, and the lapped blocks of the linear half, see around one."""


class Analysis:
    """The encoder of a model; never changed, so threads may share it."""

    def __init__(self, ops: Operations, arrays: Arrays) -> None:
        """Read the layers g_a.X, and log_gain (9, M), the logarithm of the steps per pixel unit.

        Raises:
            KeyError, ValueError: an array is missing, or of another type or shape.
        """
        name, self._ops, self._log_gain = "g_a", ops, arrays["log_gain"]
        self._lapping = ops.enter(arrays[f"{name}.lapping"])
        self._lapped_scale = ops.enter(np.full(3, LAPPED_SCALE, np.float32))
        self._linear = Convolution(ops, arrays, f"{name}.linear")
        self._first = Convolution(ops, arrays, f"{name}.first", zero=SIGNED_ZERO)
        self._fine = read_blocks(ops, arrays, f"{name}.fine")
        self._reduce_inverse = ops.enter(inverse(arrays[f"{name}.reduce.step"]))
        self._reduce = Convolution(ops, arrays, f"{name}.reduce")
        self._coarse = read_blocks(ops, arrays, f"{name}.coarse")
        self._last_inverse = ops.enter(inverse(arrays[f"{name}.last.step"]))
        self._last = Convolution(ops, arrays, f"{name}.last")

    def __call__(self, pixels: Bytes, level: int, window: Window | None = None) -> Floats:
        """Pixels (16h, 16w, 3) at a level 0..252 -> latent y (h, w, M) in steps of the quantiser.

        Args:
            window: their place in blocks, of which only the inner part is wanted; later stages do without
                what they do not see.
        """
        ops = self._ops
        place = window or Window.of([side // BLOCK for side in pixels.shape[:2]])
        coarse, linear = place.narrowed(COARSE_REACH), place.narrowed(LINEAR_REACH)
        x = ops.enter(pixels)
        units = self._units(x[scaled(within(linear.outer, place.outer), BLOCK)])
        h = ops.conv8(ops.unshuffle(x, BLOCK // 2), *self._first.at(level))
        ops.relu(h)
        for block in self._fine:
            block(h, level)
        h = ops.quantise16(h, self._reduce_inverse)[scaled(within(coarse.outer, place.outer), 2)]
        h = ops.conv16(ops.unshuffle(h, 2), *self._reduce.at(level))
        for block in self._coarse:
            block(h, level)
        h = ops.quantise16(h, self._last_inverse)[within(place.inner, coarse.outer)]
        y = ops.conv16(h, *self._last.at(level))
        ops.conv16_add(units[within(place.inner, linear.outer)], *self._linear.at(level), y)
        latent: Floats = ops.leave(y)
        latent *= exp(between_knots(self._log_gain, level)).astype(np.float32)
        return latent

    def _units(self, pixels: ByteMap) -> WordMap:
        """Pixels (16h, 16w, 3), lapped, in steps of the linear half's inputs, by blocks (h, w, 768)."""
        ops, doubled = self._ops, self._ops.to_floats(pixels)
        doubled *= 2
        doubled -= 255
        units = ops.quantise16(ops.lap(doubled, self._lapping), self._lapped_scale)
        del doubled  # the largest map of an encode
        return ops.unshuffle(units, BLOCK)
