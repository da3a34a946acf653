"""Synthesis transform g_s in integers: a latent to pixels; the layers are those of `vqcodec.model.decoder`.

    y --first--> blocks at 1/16 --expand, shuffle 2--> blocks at 1/8 --last, shuffle 8--> +--> restoration
    y ------- linear: 16x16 filters with stride 16, then inverse lapping -----------------+

Pictures are in opponent colour until the restoration has done its part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.layers import Arrays, Convolution, inverse, read_blocks
from vqcodec.engine.levels import Level, between_knots, exp
from vqcodec.engine.operations import LATENT_UNITS, SIGNED_ZERO, Bytes, Operations
from vqcodec.engine.restoration import Restoration
from vqcodec.tiling import BLOCK, Window, scaled, within

FINE_REACH, PICTURE_REACH = 6, 2
"""Blocks that the stages at 1/8 and the last layer see around one, and the last layer with all behind it."""


class Synthesis:
    """One decoder of a model; never changed, so threads may share it."""

    def __init__(self, ops: Operations, arrays: Arrays) -> None:
        """Read the layers g_s.X, and log_gain (9, M), the logarithm of the steps per pixel unit.

        Raises:
            KeyError, ValueError: an array is missing, or of another type or shape.
        """
        name, self._ops, self._log_gain = "g_s", ops, arrays["log_gain"]
        self._latent_step = arrays[f"{name}.latent.step"].astype(np.float64)
        self._linear = Convolution(ops, arrays, f"{name}.linear")
        self._lapping = ops.enter(arrays[f"{name}.lapping"])
        self._first = Convolution(ops, arrays, f"{name}.first")
        self._coarse = read_blocks(ops, arrays, f"{name}.coarse")
        self._expand_inverse = ops.enter(inverse(arrays[f"{name}.expand.step"]))
        self._expand = Convolution(ops, arrays, f"{name}.expand")
        self._fine = read_blocks(ops, arrays, f"{name}.fine")
        self._last_inverse = ops.enter(inverse(arrays[f"{name}.last.step"]))
        self._last = Convolution(ops, arrays, f"{name}.last", zero=SIGNED_ZERO)
        self._restoration = Restoration(ops, arrays, f"{name}.restoration")

    def __call__(self, y_hat: NDArray[Any], level: Level, window: Window | None = None) -> Bytes:
        """Latent (h, w, M) in steps of 1/128 at a level 0..252 -> pixels (16h, 16w, 3).

        By torch also latents (h, w, B, M) at B levels -> pixels (16h, 16w, B, 3).

        Args:
            window: its place, of which only the inner part is wanted; later stages do without what they do
                not see.
        """
        ops, place = self._ops, window or Window.of(y_hat.shape)
        fine, picture = place.narrowed(FINE_REACH), place.narrowed(PICTURE_REACH)
        latent = ops.quantise16(
            ops.enter(y_hat.astype(np.float32, copy=False)), ops.enter(self.inverse(level))
        )
        h = ops.conv16(latent, *self._first.at(level))
        for block in self._coarse:
            block(h, level)
        h = ops.quantise16(h, self._expand_inverse)[within(fine.outer, place.outer)]
        h = ops.conv16(h, *self._expand.at(level), n=2)
        for block in self._fine:
            block(h, level)
        latent = latent[within(picture.outer, place.outer)]
        features = ops.quantise8(h, self._last_inverse)[scaled(within(picture.outer, fine.outer), 2)]
        u = ops.lap(ops.conv16(latent, *self._linear.at(level), n=BLOCK), self._lapping)
        ops.conv8_add(features, *self._last.at(level), u, n=BLOCK // 2)
        pixels = self._restoration(u, features, level)
        return pixels[scaled(within(place.inner, picture.outer), BLOCK)]

    def shortcut(self, y_hat: NDArray[Any], level: int) -> NDArray[np.float32]:
        """The linear half alone: the same latent -> (16h, 16w, 3) around 0, in opponent colour."""
        ops = self._ops
        latent = ops.quantise16(
            ops.enter(y_hat.astype(np.float32, copy=False)), ops.enter(self.inverse(level))
        )
        u = ops.lap(ops.conv16(latent, *self._linear.at(level), n=BLOCK), self._lapping)
        shown: NDArray[np.float32] = ops.leave(u)
        return shown

    def inverse(self, level: Level) -> NDArray[np.float32]:
        """What an integer latent is multiplied by (M,) to be quantised again, in steps of its own."""
        if isinstance(level, tuple):
            return np.stack([self.inverse(one) for one in level])
        gain = exp(between_knots(self._log_gain, level))
        return (1 / (LATENT_UNITS * gain * self._latent_step)).astype(np.float32)
