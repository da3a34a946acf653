"""Hyper-analysis h_a in integers: a latent to its hyper-latent; layers as in `vqcodec.model.encoder`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.layers import Arrays, Convolution
from vqcodec.engine.operations import LATENT_UNITS, Floats, Operations, Words

COMPANDED_STEP = 1 / 16
HYPER_LIMIT = 127 / 32
LATENT_MAX = 131_071


class HyperAnalysis:
    """Part of a model's encoder; never changed, so threads may share it."""

    def __init__(self, ops: Operations, arrays: Arrays, compand: NDArray[Any]) -> None:
        """Read the layers h_a.X; compand (127,) are the latents at which the companded one steps up.

        Raises:
            KeyError, ValueError: an array is missing, or of another type or shape.
        """
        name, self._ops = "h_a", ops
        # A look-up is faster than a search; beyond the last step nothing changes.
        steps = np.searchsorted(compand, np.arange(LATENT_MAX + 1), side="right").astype(np.int16)
        self._companded = np.concatenate([-steps[:0:-1], steps])
        mixed, last = arrays[f"{name}.mix.step"], arrays[f"{name}.last.step"]
        self._squeeze = Convolution(ops, arrays, f"{name}.squeeze", mixed)
        self._mix = Convolution(ops, arrays, f"{name}.mix", last, zero=0)
        self._last = Convolution(ops, arrays, f"{name}.last")

    def __call__(self, y: Floats) -> Floats:
        """z (ceil(h/4), ceil(w/4), Z) of y (h, w, M) in steps of the quantiser, whose border is repeated."""
        ops = self._ops
        h = ops.conv16_relu(ops.unshuffle(ops.enter(self._compand(y)), 2), *self._squeeze.at(0))
        h = ops.conv8_relu(h, *self._mix.at(0))
        h = ops.to_words(ops.unshuffle(h, 2))
        z = ops.leave(ops.conv16(h, *self._last.at(0)))
        result: Floats = np.clip(z, np.float32(-HYPER_LIMIT), np.float32(HYPER_LIMIT))
        return result

    def _compand(self, y: Floats) -> Words:
        """(4 ceil(h/4), 4 ceil(w/4), M) of y (h, w, M)."""
        h, w, channels = y.shape
        out = np.empty((h + -h % 4, w + -w % 4, channels), np.int16)
        for row, companded in zip(y, out, strict=False):  # by rows: these stay in the processor's cache
            units = row * np.float32(LATENT_UNITS)
            np.rint(units, out=units)
            np.clip(units, -LATENT_MAX, LATENT_MAX, out=units)
            self._companded.take(units.astype(np.int32) + LATENT_MAX, out=companded[:w], mode="clip")
            companded[w:] = companded[w - 1]
        out[h:] = out[h - 1]
        return out
