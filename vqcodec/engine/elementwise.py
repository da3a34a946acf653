"""Elementwise operations of an engine in numpy: float32, each rounded once, in the order the format tells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vqcodec.engine.operations import (
    CELL_SCALE,
    LOG_OFFSET,
    LOG_POLYNOMIAL,
    LOG_SCALE,
    QUIET,
    WORD_MAX,
    Bytes,
    Floats,
    Words,
)
from vqcodec.tiling import BLOCK

_MANTISSA, _ONE, _EXPONENT_BITS, _EXPONENT_BIAS = 0x7FFFFF, 0x3F800000, 23, 127


class Elementwise:
    """The part of `vqcodec.engine.operations.Operations` without convolutions."""

    def shuffle(self, x: NDArray[Any], n: int) -> NDArray[Any]:
        """(H, W, n*n*C) -> (n*H, n*W, C)."""
        h, w, channels = x.shape
        parts = x.reshape(h, w, n, n, channels // (n * n)).transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(parts).reshape(h * n, w * n, -1)

    def unshuffle(self, x: NDArray[Any], n: int) -> NDArray[Any]:
        """(n*H, n*W, C) -> (H, W, n*n*C)."""
        h, w, channels = x.shape
        parts = x.reshape(h // n, n, w // n, n, channels).transpose(0, 2, 1, 3, 4)
        return np.ascontiguousarray(parts).reshape(h // n, w // n, -1)

    def relu(self, h: Floats) -> None:
        """max(h, 0) in place."""
        np.maximum(h, 0, out=h)

    def lap(self, x: Floats, matrix: Floats) -> Floats:
        """Mix the 16 samples around every inner boundary of blocks, along columns, then along rows."""
        return _lap_columns(_lap_columns(x, matrix).transpose(1, 0, 2), matrix).transpose(1, 0, 2)

    def cells(self, u: Floats) -> Words:
        """What the restoration sees: (H/2, W/2, 24)."""
        across, down = np.zeros_like(u), np.zeros_like(u)
        np.abs(u[:, 1:] - u[:, :-1], out=across[:, :-1])
        np.abs(u[1:] - u[:-1], out=down[:-1])
        differences = np.concatenate([across, down, np.abs(across - down)], 2)
        four = (
            differences[::2, ::2] + differences[::2, 1::2],
            differences[1::2, ::2] + differences[1::2, 1::2],
        )
        mean = (four[0] + four[1]) * np.float32(0.25) + np.float32(QUIET)
        logs = np.rint(log2(mean) * np.float32(LOG_SCALE)) + np.float32(LOG_OFFSET)
        pixels = np.rint(u * np.float32(CELL_SCALE))
        h, w = mean.shape[:2]
        pixels = pixels.reshape(h, 2, w, 2, 3).transpose(0, 2, 4, 1, 3).reshape(h, w, 12)
        parts = [np.clip(part, -WORD_MAX, WORD_MAX).astype(np.int16) for part in (logs, pixels)]
        return np.concatenate([*parts, np.zeros((h, w, 3), np.int16)], 2)

    def mend(self, u: Floats, cells: Words, f: Floats, kernels: Words, colour: Floats) -> Bytes:
        """Pixels (H, W, 3) of the restored picture."""
        answers = self.filtered(_from_cells(cells[:, :, 9:21]), kernels)
        change = _from_cells(f[:, :, :12])
        for k, answer in enumerate(answers):
            change = change + _from_cells(f[:, :, 12 + 12 * k : 24 + 12 * k]) * answer
        v = u + change
        rgb = (v[:, :, :1] * colour[0] + v[:, :, 1:2] * colour[1]) + v[:, :, 2:] * colour[2]
        levels = np.rint((rgb + np.float32(0.5)) * np.float32(255))
        return np.clip(levels, 0, 255).astype(np.uint8)

    def restore(self, *_step_by_step: Any) -> None:
        """No operation of its own."""

    def filtered(self, pixels: Words, kernels: Words) -> Floats:
        """Sums (K, H, W, 3) of pixels (H, W, 3) times each of the kernels (3, K, 5, 5), borders repeated."""
        (height, width), side = pixels.shape[:2], kernels.shape[2]
        padded = np.pad(pixels.astype(np.int32), (*2 * [2 * [side // 2]], (0, 0)), mode="edge")
        total = np.zeros((kernels.shape[1], height, width, 3), np.int32)
        for i, j in np.ndindex(side, side):
            part = padded[i : i + height, j : j + width]
            for sums, weight in zip(total, kernels[:, :, i, j].T.astype(np.int32), strict=True):
                sums += part * weight
        return total.astype(np.float32)

    def enter(self, x: NDArray[Any]) -> Any:
        """The array itself, contiguous."""
        return np.ascontiguousarray(x)

    def leave(self, x: Any) -> NDArray[Any]:
        """The array itself."""
        result: NDArray[Any] = x
        return result


def log2(v: Floats) -> Floats:
    """log2 of positive, normal numbers by a polynomial of the mantissa, the same everywhere."""
    bits = np.ascontiguousarray(v).view(np.int32)
    exponent = ((bits >> _EXPONENT_BITS) - _EXPONENT_BIAS).astype(np.float32)
    m = ((bits & _MANTISSA) | _ONE).view(np.float32) - np.float32(1)
    a, b, c = (np.float32(part) for part in LOG_POLYNOMIAL)
    result: Floats = ((m * c + b) * m + a) * m + exponent
    return result


def _lap_columns(x: Floats, matrix: Floats) -> Floats:
    half = BLOCK // 2
    h, w, channels = x.shape
    result = np.array(x, order="C")
    if h > BLOCK:
        around = result[half:-half].reshape(-1, BLOCK, w, channels)
        samples = around.copy()
        for i, row in enumerate(matrix):
            total = row[0] * samples[:, 0]
            for k in range(1, BLOCK):
                total += row[k] * samples[:, k]
            around[:, i] = total
    return result


def _from_cells(x: NDArray[Any]) -> NDArray[Any]:
    """(h, w, 12) with channels 4*colour + 2*row + column -> (2h, 2w, 3)."""
    h, w = x.shape[:2]
    return x.reshape(h, w, 3, 2, 2).transpose(0, 3, 1, 4, 2).reshape(2 * h, 2 * w, 3)
