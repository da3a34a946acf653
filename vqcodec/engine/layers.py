"""Convolutions of a weights file on an engine, with what scales their sums at a level.

A layer X has the arrays

    X.weight      (O, k, k, I) int8 or int16
    X.scale       (O,) float32, the real value of a sum of 1
    X.bias        (O,) float32, if it has one
    X.modulation  (9, 2 O) float32, if the level matters: factors - 1, then shifts
    X.step        (I,) float32, the real value of one unit of each input, where that is not fixed
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.levels import Level, between_knots
from vqcodec.engine.operations import SIGNED_ZERO, FloatMap, Floats, Layer, Operations, Scaled, Vector
from vqcodec.errors import ModelNotFound

Arrays = Mapping[str, NDArray[Any]]


def inverse(step: NDArray[Any]) -> Floats:
    """What real values are multiplied by to quantise them."""
    return np.float32(1) / step.astype(np.float32)


class Convolution:
    """One layer: `ops.conv8(x, *layer.at(level))`."""

    def __init__(
        self,
        ops: Operations,
        arrays: Arrays,
        name: str,
        out: NDArray[Any] | float = 1.0,
        gain: NDArray[Any] | float = 1.0,
        zero: int | None = None,
        modulation: NDArray[Any] | None = None,
    ) -> None:
        """Read layer `name`.

        Args:
            out: the real value of one unit of each output.
            gain: what real outputs are multiplied by.
            zero: of inputs in 8 bits; inputs are in 16 without it.
            modulation: instead of its own.

        Raises:
            KeyError, ValueError: an array is missing, or of another type or shape.
        """
        weight, scale = arrays[f"{name}.weight"], arrays[f"{name}.scale"]
        square = weight.ndim == 4 and weight.shape[1] == weight.shape[2] and weight.shape[1] in (1, 3)
        if not square or weight.dtype not in (np.int8, np.int16):
            raise ValueError(f"{name}: not the weights of a convolution")
        self.name, self.outputs, self.inputs = name, weight.shape[0], weight.shape[3]
        if zero is not None and weight.dtype != np.int8:
            raise ValueError(f"{name}: weights of another type")
        self._ops, self._weight, self._zero = ops, weight, zero
        self._scale = vector(scale, self.outputs, name).astype(np.float64)
        bias = arrays.get(f"{name}.bias")
        self._bias = (
            np.zeros(self.outputs) if bias is None else vector(bias, self.outputs, name).astype(np.float64)
        )
        self._out, self._gain = np.asarray(out, np.float64), np.asarray(gain, np.float64)
        self._modulation = arrays.get(f"{name}.modulation") if modulation is None else modulation
        if self._modulation is not None and self._modulation.shape[1:] != (2 * self.outputs,):
            raise ValueError(f"{name}: modulation of another size")
        self._latest: tuple[Level, Vector, Vector] | None = None

    @functools.cached_property
    def _layer(self) -> Layer:
        """The weights as the engine keeps them; made when first used: a decoder needs no encoder's."""
        try:
            if self._zero is None:
                return self._ops.pack16(self._weight.astype(np.int16))
            return self._ops.pack8(self._weight, self._zero)
        except ValueError as error:
            raise ModelNotFound(f"unusable transforms: {self.name}: {error}") from error

    def at(self, level: Level) -> Scaled:
        """The layer, S and B at a level 0..252; (B, O) at the levels of a batch.

        Raises:
            ModelNotFound: weights are out of the bounds of exact arithmetic.
        """
        # The last level is kept, for all windows of a picture; replaced at once, so threads may share it.
        latest = self._latest
        if latest is None or latest[0] != level:
            if isinstance(level, tuple):
                found = [np.stack(rows) for rows in zip(*map(self._vectors, level), strict=True)]
            else:
                found = list(self._vectors(level))
            parts = [self._ops.enter(part) for part in found]
            latest = self._latest = (level, parts[0], parts[1])
        return self._layer, latest[1], latest[2]

    def _vectors(self, level: int) -> tuple[Floats, Floats]:
        scale, bias = self._scale, self._bias
        if self._modulation is not None:
            row = between_knots(self._modulation, level)
            factor = 1 + row[: self.outputs]
            scale, bias = scale * factor, bias * factor + row[self.outputs :]
        first, second = ((part * self._gain / self._out).astype(np.float32) for part in (scale, bias))
        return first, second


class Block:
    """A residual block: h + conv2(relu(modulated conv1(h)))."""

    def __init__(self, ops: Operations, arrays: Arrays, name: str) -> None:
        """Read layers `name.conv1` and `name.conv2`."""
        self._ops = ops
        self._inverse = ops.enter(inverse(arrays[f"{name}.conv1.step"]))
        step = arrays[f"{name}.conv2.step"]
        self._conv1 = Convolution(ops, arrays, f"{name}.conv1", step, zero=SIGNED_ZERO)
        self._conv2 = Convolution(ops, arrays, f"{name}.conv2", zero=0)

    def __call__(self, h: FloatMap, level: Level) -> None:
        """Run on h (H, W, C) in place."""
        self._ops.block(h, self._inverse, *self._conv1.at(level), *self._conv2.at(level))


def read_blocks(ops: Operations, arrays: Arrays, name: str) -> list[Block]:
    """Blocks `name.0`, `name.1`, ... as far as there are any."""
    count = 0
    while f"{name}.{count}.conv1.weight" in arrays:
        count += 1
    return [Block(ops, arrays, f"{name}.{n}") for n in range(count)]


def vector(values: NDArray[Any], count: int, name: str) -> NDArray[Any]:
    """The array itself, if it is (count,) float32.

    Raises:
        ValueError: it is not.
    """
    if values.shape != (count,) or values.dtype != np.float32:
        raise ValueError(f"{name}: not {count} numbers")
    return values
