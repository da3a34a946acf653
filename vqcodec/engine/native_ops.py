"""The operations of an engine in C, on several threads; not to be imported where that was not built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.operations import CELL_CHANNELS, Bytes, Floats, Layer, Scaled, Words
from vqcodec.native import _kernels

MOST_THREADS = 1 << 16
RESTORED = 16
"""`restore` takes hidden maps of multiples of this."""


class NativeOps:
    """See `vqcodec.engine.operations.Operations`; arrays are numpy's.

    Arrays of another type or shape than told there raise ValueError.
    """

    def __init__(self, threads: int = 1) -> None:
        """Share each operation's work among `threads` threads.

        Raises:
            ValueError: there is not at least one, or far too many.
        """
        if not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"{threads} threads")
        self.threads = threads

    def pack8(self, weight: NDArray[np.int8], zero: int) -> Layer:
        """Weights (O, k, k, I) of int8.

        Raises:
            ValueError: a weight, or the sum of an output's, is out of bounds.
        """
        return _pack(weight, np.int8, zero)

    def pack16(self, weight: Words) -> Layer:
        """Weights (O, k, k, I) of int16."""
        return _pack(weight, np.int16, 0)

    def quantise8(self, h: Floats, inverse: Floats) -> Bytes:
        """clamp(rint(h * inverse), -128, 127) + 128."""
        out = np.empty(h.shape, np.uint8)
        _kernels.quantise(np.ascontiguousarray(h), inverse, out, self.threads)
        return out

    def quantise16(self, h: Floats, inverse: Floats) -> Words:
        """clamp(rint(h * inverse), -32767, 32767)."""
        out = np.empty(h.shape, np.int16)
        _kernels.quantise(np.ascontiguousarray(h), inverse, out, self.threads)
        return out

    def conv8_relu(self, x: Bytes, layer: Layer, scale: Floats, bias: Floats) -> Bytes:
        """clamp(rint(sum * S + B), 0, 255)."""
        return self._bytes(x, layer, scale, bias, None)

    def conv8(self, x: Bytes, layer: Layer, scale: Floats, bias: Floats) -> Floats:
        """sum * S + B."""
        return self._floats(x, layer, scale, bias)

    def conv8_add(self, x: Bytes, layer: Layer, scale: Floats, bias: Floats, h: Floats, n: int = 1) -> None:
        """h + (sum * S + B), the latter shuffled by n, in place; h is contiguous."""
        _kernels.convolve(np.ascontiguousarray(x), layer, scale, bias, h, h, n, self.threads)

    def conv16(self, x: Words, layer: Layer, scale: Floats, bias: Floats, n: int = 1) -> Floats:
        """sum * S + B, shuffled by n; sums are modulo 2^32."""
        return self._floats(x, layer, scale, bias, n)

    def conv16_add(self, x: Words, layer: Layer, scale: Floats, bias: Floats, h: Floats) -> None:
        """h + (sum * S + B), in place; h is contiguous."""
        _kernels.convolve(np.ascontiguousarray(x), layer, scale, bias, h, h, 1, self.threads)

    def conv16_relu(
        self, x: Words, layer: Layer, scale: Floats, bias: Floats, add: Floats | None = None
    ) -> Bytes:
        """clamp(rint((sum * S + B) + add), 0, 255)."""
        return self._bytes(x, layer, scale, bias, None if add is None else np.ascontiguousarray(add))

    def block(
        self,
        h: Floats,
        inverse: Floats,
        layer1: Layer,
        scale1: Floats,
        bias1: Floats,
        layer2: Layer,
        scale2: Floats,
        bias2: Floats,
    ) -> None:
        """A residual block in place; h is contiguous."""
        _kernels.block(h, inverse, layer1, scale1, bias1, layer2, scale2, bias2, self.threads)

    def shuffle(self, x: NDArray[Any], n: int) -> NDArray[Any]:
        """(H, W, n*n*C) -> (n*H, n*W, C); uint8, int16 or float32."""
        h, w, channels = x.shape
        out = np.empty((n * h, n * w, channels // (n * n)), x.dtype)
        _kernels.shuffle(np.ascontiguousarray(x), out, n, False, self.threads)
        return out

    def unshuffle(self, x: NDArray[Any], n: int) -> NDArray[Any]:
        """(n*H, n*W, C) -> (H, W, n*n*C); uint8, int16 or float32."""
        h, w, channels = x.shape
        out = np.empty((h // n, w // n, n * n * channels), x.dtype)
        _kernels.shuffle(np.ascontiguousarray(x), out, n, True, self.threads)
        return out

    def lap(self, x: Floats, matrix: Floats) -> Floats:
        """Mix the 16 samples around every inner boundary of blocks in place, along columns, then rows."""
        x = np.ascontiguousarray(x)
        _kernels.lap(x, np.ascontiguousarray(matrix), self.threads)
        return x

    def cells(self, u: Floats) -> Words:
        """What the restoration sees: (H/2, W/2, 24)."""
        out = np.empty((u.shape[0] // 2, u.shape[1] // 2, CELL_CHANNELS), np.int16)
        _kernels.cells(np.ascontiguousarray(u), out, self.threads)
        return out

    def mend(self, u: Floats, cells: Words, f: Floats, kernels: Words, colour: Floats) -> Bytes:
        """Pixels (H, W, 3) of the restored picture."""
        out = np.empty(u.shape, np.uint8)
        u, f, colour = (np.ascontiguousarray(part) for part in (u, f, colour))
        cells, kernels = (np.ascontiguousarray(part) for part in (cells, kernels))
        _kernels.mend(u, cells, f, kernels, colour, out, self.threads)
        return out

    def restore(
        self,
        u: Floats,
        guide: Bytes,
        lead: Scaled,
        sense: Scaled,
        mix: Scaled,
        filtering: Scaled,
        kernels: Words,
        colour: Floats,
    ) -> Bytes | None:
        """Pixels (H, W, 3) of u (H, W, 3), sides multiples of 8: all steps of the restoration in one.

        The result is that of `cells` of u; `conv8` of the guide (H/8, W/8, C) by `lead`, and `shuffle` by 4;
        `conv16_relu` of the cells by `sense`, adding that; `conv8_relu` by `mix`; `conv8` by `filtering`; and
        `mend`. None where the outputs of `sense` are no multiple of 16.
        """
        if len(sense[1]) % RESTORED:
            return None
        out = np.empty(u.shape, np.uint8)
        u, colour = np.ascontiguousarray(u), np.ascontiguousarray(colour)
        guide, kernels = np.ascontiguousarray(guide), np.ascontiguousarray(kernels)
        _kernels.restore(u, guide, lead, sense, mix, filtering, kernels, colour, out, self.threads)
        return out

    def relu(self, h: Floats) -> None:
        """max(h, 0) in place."""
        np.maximum(h, 0, out=h)

    def to_words(self, x: Bytes) -> Words:
        """The same numbers in 16 bits."""
        return x.astype(np.int16)

    def to_floats(self, x: Bytes) -> Floats:
        """The same numbers in float32."""
        return x.astype(np.float32)

    def enter(self, x: NDArray[Any]) -> NDArray[Any]:
        """The array itself, contiguous."""
        return np.ascontiguousarray(x)

    def leave(self, x: NDArray[Any]) -> NDArray[Any]:
        """The array itself."""
        return x

    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Rows of a map, one part below the other."""
        return np.concatenate(parts)

    def _floats(self, x: NDArray[Any], layer: Layer, scale: Floats, bias: Floats, n: int = 1) -> Floats:
        h, w = x.shape[:2]
        out = np.empty((n * h, n * w, len(scale) // (n * n)), np.float32)
        _kernels.convolve(np.ascontiguousarray(x), layer, scale, bias, None, out, n, self.threads)
        return out

    def _bytes(self, x: NDArray[Any], layer: Layer, scale: Floats, bias: Floats, add: Floats | None) -> Bytes:
        out = np.empty((*x.shape[:2], len(scale)), np.uint8)
        _kernels.convolve(np.ascontiguousarray(x), layer, scale, bias, add, out, 1, self.threads)
        return out


def _pack(weight: NDArray[Any], kind: type[np.int8] | type[np.int16], zero: int) -> Layer:
    if weight.dtype != kind:
        raise ValueError(f"weights are {weight.dtype}")
    return _kernels.pack(np.ascontiguousarray(weight), zero)
