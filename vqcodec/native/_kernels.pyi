"""Convolutions and the elementwise steps around them, in C, for `vqcodec.engine.native_ops`.

Arrays are C-contiguous, results included; `threads` is at least 1. ValueError for arrays of another type or
shape, MemoryError where none is left.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Layer = Any
Floats = NDArray[np.float32]
Words = NDArray[np.int16]
Bytes = NDArray[np.uint8]

def isa() -> str:
    """The instruction set in use: "portable", "neon", "avx2", "avxvnni", "avx512vnni" or "amx"."""

def choose_isa(name: str) -> str:
    """Use `name`, or the best below it that this CPU has, which is returned; ValueError for other names."""

def pack(weight: NDArray[np.int8] | Words, zero: int) -> Layer:
    """Weights (O, k, k, I) of a layer; `zero` is the input that stands for 0, 128 only with int8."""

def quantise(h: Floats, inverse: Floats, out: Bytes | Words, threads: int) -> None:
    """clamp(rint(h * inverse)) to uint8 around 128, or to int16."""

def convolve(
    x: Bytes | Words,
    layer: Layer,
    scale: Floats,
    bias: Floats,
    add: Floats | None,
    out: Bytes | Floats,
    n: int,
    threads: int,
) -> None:
    """Sums * scale + bias (+ add) as float32, or as uint8 by clamp(rint()).

    With float32, `add` is None or `out` itself, and `out` is shuffled by n; otherwise n is 1.
    """

def block(
    h: Floats,
    inverse: Floats,
    layer1: Layer,
    scale1: Floats,
    bias1: Floats,
    layer2: Layer,
    scale2: Floats,
    bias2: Floats,
    threads: int,
) -> None:
    """Quantise h, convolve to uint8, convolve and add to h, in place."""

def shuffle(x: NDArray[Any], out: NDArray[Any], n: int, back: bool, threads: int) -> None:
    """(H, W, n*n*C) to (n*H, n*W, C), or back, of uint8, int16 or float32."""

def lap(x: Floats, matrix: Floats, threads: int) -> None:
    """Mix samples of x (H, W, C) around block boundaries by `matrix` (16, 16), in place."""

def cells(u: Floats, out: Words, threads: int) -> None:
    """u (H, W, 3) to (H/2, W/2, 24)."""

def mend(
    u: Floats, cells: Words, f: Floats, kernels: Words, colour: Floats, out: Bytes, threads: int
) -> None:
    """Pixels of the restored picture."""

def restore(
    u: Floats,
    guide: Bytes,
    lead: tuple[Layer, Floats, Floats],
    sense: tuple[Layer, Floats, Floats],
    mix: tuple[Layer, Floats, Floats],
    filtering: tuple[Layer, Floats, Floats],
    kernels: Words,
    colour: Floats,
    out: Bytes,
    threads: int,
) -> None:
    """All steps of the restoration: a layer, scale and bias each."""
