"""What the transforms ask of an engine: exact sums of integers, and float32 rounded once an operation.

Maps and vectors are the engine's own, arrays of numpy or tensors on a device: `enter` makes them and `leave`
gives them back; between these only operations, Python's arithmetic and slices of rows touch them.

A feature map is (H, W, C), C contiguous: activations u8 or s16, sums s32, the residual stream f32. Every `*`
and `+` below is rounded to float32 on its own; `rint` rounds half to even. Vectors (S, B, inverse) have one
float32 a channel. 3x3 convolutions are padded by the value that stands for 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.int16]
Floats = NDArray[np.float32]
Layer = Any
"""A convolution's weights as an engine keeps them."""
ByteMap = Any
WordMap = Any
FloatMap = Any
"""Maps of u8, s16 and f32 as an engine keeps them."""
Vector = Any
"""f32, as an engine keeps them."""
Scaled = tuple[Layer, Vector, Vector]
"""A convolution with S and B."""

BYTE_MAX, SIGNED_ZERO = 255, 128
"""Largest activation in 8 bits, and the byte that stands for 0 where activations have a sign."""
WORD_MAX = 32767
LATENT_UNITS = 128
"""Steps of the integer latent in a step of the quantiser."""
WEIGHT8_MAX = 64
"""With larger weights, pairs of products of u8 and s8 saturate in 16 bits on processors without VNNI."""
SUM8_MAX = (1 << 24) // BYTE_MAX
"""Bound of the sum of |weights| of an output of conv8: float32 adds its products up exactly."""
KERNEL_SUM_MAX = 65534
"""Bound of the sum of a restoration kernel's |weights|: 32 bits hold its products with s16."""
CELL_SCALE, LOG_SCALE, LOG_OFFSET, QUIET = 8192.0, 256.0, 1293.0, 1 / 512
"""Fixed point of `cells`: pixels * 8192; log2(differences + QUIET) * 256 + 1293, 0 for a typical one."""
CELL_CHANNELS = 24
"""Of `cells`: 9 of differences, 12 of pixels, 3 of padding."""
LOG_POLYNOMIAL = (1.4228654, -0.58208549, 0.15922014)
"""log2(1 + m) = m * (a + m * (b + m * c)), within .0009 for m in [0, 1]."""


class Operations(Protocol):
    """One engine; safe to call from several threads."""

    def pack8(self, weight: NDArray[np.int8], zero: int) -> Layer:
        """Weights (O, k, k, I), |w| <= 64, k 1 or 3, for activations u8 around `zero`, 0 or 128."""

    def pack16(self, weight: Words) -> Layer:
        """Weights (O, k, k, I) for activations s16."""

    def quantise8(self, h: FloatMap, inverse: Vector) -> ByteMap:
        """clamp(rint(h * inverse), -128, 127) + 128."""

    def quantise16(self, h: FloatMap, inverse: Vector) -> WordMap:
        """clamp(rint(h * inverse), -32767, 32767)."""

    def conv8_relu(self, x: ByteMap, layer: Layer, scale: Vector, bias: Vector) -> ByteMap:
        """clamp(rint(sum * S + B), 0, 255)."""

    def conv8(self, x: ByteMap, layer: Layer, scale: Vector, bias: Vector) -> FloatMap:
        """sum * S + B."""

    def conv8_add(
        self, x: ByteMap, layer: Layer, scale: Vector, bias: Vector, h: FloatMap, n: int = 1
    ) -> None:
        """h + (sum * S + B), the latter shuffled by n, in place."""

    def conv16(self, x: WordMap, layer: Layer, scale: Vector, bias: Vector, n: int = 1) -> FloatMap:
        """sum * S + B, shuffled by n; sums are modulo 2^32."""

    def conv16_add(self, x: WordMap, layer: Layer, scale: Vector, bias: Vector, h: FloatMap) -> None:
        """h + (sum * S + B), in place; sums are modulo 2^32."""

    def conv16_relu(
        self, x: WordMap, layer: Layer, scale: Vector, bias: Vector, add: FloatMap | None = None
    ) -> ByteMap:
        """clamp(rint((sum * S + B) + add), 0, 255)."""

    def block(
        self,
        h: FloatMap,
        inverse: Vector,
        layer1: Layer,
        scale1: Vector,
        bias1: Vector,
        layer2: Layer,
        scale2: Vector,
        bias2: Vector,
    ) -> None:
        """A residual block in place: quantise8, conv8_relu, conv8_add to h."""

    def shuffle(self, x: Any, n: int) -> Any:
        """(H, W, n*n*C) -> (n*H, n*W, C): channel (i*n + j)*C + c goes to row n*y + i, column n*x + j."""

    def unshuffle(self, x: Any, n: int) -> Any:
        """Inverse of `shuffle`."""

    def lap(self, x: FloatMap, matrix: FloatMap) -> FloatMap:
        """Mix the 16 samples around every inner boundary of 16x16 blocks of x (H, W, C) by `matrix` (16, 16).

        Along columns, then along rows; sums in ascending order, a product and a sum at a time. x may be
        overwritten.
        """

    def cells(self, u: FloatMap) -> WordMap:
        """What the restoration sees: (H/2, W/2, 24) of u (H, W, 3), see the constants above.

        0-2 mean absolute differences to the right, 3-5 downwards, 6-8 of these two; 9 + 4*colour + 2*row +
        column the pixels.
        """

    def mend(self, u: FloatMap, cells: WordMap, f: FloatMap, kernels: WordMap, colour: FloatMap) -> ByteMap:
        """Pixels (H, W, 3) of u + draw + sum over k of gate k * (pixels of `cells` filtered by kernel k).

        Args:
            f: (H/2, W/2, 12 + 12 K): draw, then the gates of each kernel, channels as the pixels of `cells`.
            kernels: (3, K, 5, 5), applied with the border repeated.
            colour: (3, 3), a row for each channel of u, a column for each of red, green and blue.
        """

    def restore(
        self,
        u: FloatMap,
        guide: ByteMap,
        lead: Scaled,
        sense: Scaled,
        mix: Scaled,
        filtering: Scaled,
        kernels: WordMap,
        colour: FloatMap,
    ) -> ByteMap | None:
        """All of `vqcodec.engine.restoration` at once; None where an engine does it step by step."""

    def relu(self, h: FloatMap) -> None:
        """max(h, 0) in place."""

    def to_words(self, x: ByteMap) -> WordMap:
        """The same numbers in 16 bits."""

    def to_floats(self, x: ByteMap) -> FloatMap:
        """The same numbers in float32."""

    def enter(self, x: NDArray[Any]) -> Any:
        """An array as this engine's operations take it, on its device; it may share the array's memory."""

    def leave(self, x: Any) -> NDArray[Any]:
        """Back to numpy."""

    def join(self, parts: Sequence[Any]) -> NDArray[Any]:
        """Rows of a map, one part below the other, back to numpy."""
