"""Operations in torch without matrix products: float32, each rounded once, in the order the format tells.

Maps (H, W, C) may be those of B pictures, (H, W, B, C).

No kernel of torch that multiplies and adds at once (`addcmul`, `add` with `alpha`) may stand here: some
devices round such a pair once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vqcodec.engine.operations import (
    CELL_SCALE,
    LOG_OFFSET,
    LOG_POLYNOMIAL,
    LOG_SCALE,
    QUIET,
    SIGNED_ZERO,
    WORD_MAX,
)
from vqcodec.tiling import BLOCK

_MANTISSA, _ONE, _EXPONENT_BITS, _EXPONENT_BIAS = 0x7FFFFF, 0x3F800000, 23, 127


def quantise8(h: Tensor, inverse: Tensor) -> Tensor:
    """clamp(rint(h * inverse), -128, 127) + 128, in bytes."""
    scaled = (h * inverse).round_().clamp_(-SIGNED_ZERO, SIGNED_ZERO - 1)
    return scaled.add_(SIGNED_ZERO).to(torch.uint8)


def quantise16(h: Tensor, inverse: Tensor | float) -> Tensor:
    """clamp(rint(h * inverse), -32767, 32767), in words."""
    return (h * inverse).round_().clamp_(-WORD_MAX, WORD_MAX).to(torch.int16)


def shuffle(x: Tensor, n: int) -> Tensor:
    """(H, W, n*n*C) -> (n*H, n*W, C)."""
    h, w, *batch, channels = x.shape
    parts = x.reshape(h, w, *batch, n, n, channels // (n * n)).movedim((-3, -2), (1, 3))
    return parts.reshape(h * n, w * n, *batch, channels // (n * n))


def unshuffle(x: Tensor, n: int) -> Tensor:
    """(n*H, n*W, C) -> (H, W, n*n*C)."""
    h, w, *batch, channels = x.shape
    parts = x.reshape(h // n, n, w // n, n, *batch, channels).movedim((1, 3), (-3, -2))
    return parts.reshape(h // n, w // n, *batch, n * n * channels)


def lap(x: Tensor, matrix: Tensor) -> Tensor:
    """Mix the 16 samples around every inner boundary of blocks, along columns, then along rows."""
    columns = _lap_columns(x, matrix)
    return _lap_columns(columns.transpose(0, 1), matrix).transpose(0, 1).contiguous()


def cells(u: Tensor) -> Tensor:
    """What the restoration sees: (H/2, W/2, 24) of u (H, W, 3)."""
    across, down = torch.zeros_like(u), torch.zeros_like(u)
    across[:, :-1] = (u[:, 1:] - u[:, :-1]).abs_()
    down[:-1] = (u[1:] - u[:-1]).abs_()
    differences = torch.cat([across, down, (across - down).abs_()], -1)
    upper, lower = (differences[i::2, ::2] + differences[i::2, 1::2] for i in (0, 1))
    mean = upper.add_(lower).mul_(0.25).add_(QUIET)
    h, w, *batch, _ = mean.shape
    logs = log2(mean).mul_(LOG_SCALE).round_().add_(LOG_OFFSET).clamp_(-WORD_MAX, WORD_MAX)
    squares = quantise16(u, CELL_SCALE).view(h, 2, w, 2, *batch, 3).movedim((1, 3), (-2, -1))
    pixels = squares.reshape(h, w, *batch, 12)
    padding = pixels.new_zeros(h, w, *batch, 3)
    return torch.cat([logs.to(torch.int16), pixels, padding], -1)


def log2(v: Tensor) -> Tensor:
    """log2 of positive, normal numbers by a polynomial of the mantissa, the same everywhere."""
    bits = v.view(torch.int32)
    exponent = ((bits >> _EXPONENT_BITS) - _EXPONENT_BIAS).to(torch.float32)
    m = ((bits & _MANTISSA) | _ONE).view(torch.float32) - 1
    a, b, c = (float(np.float32(part)) for part in LOG_POLYNOMIAL)
    return (m * c).add_(b).mul_(m).add_(a).mul_(m).add_(exponent)


def planes(x: Tensor) -> Tensor:
    """Of cells (h, w, 12 K), channels 12 k + 4*colour + 2*row + column, the samples (K, 3, 2h, 2w).

    Those of B pictures are (K, 3, B, 2h, 2w).
    """
    h, w, *batch, channels = x.shape
    parts = x.view(h, w, *batch, channels // 12, 3, 2, 2).movedim((-4, -3), (0, 1))
    return parts.movedim((2, -2, 3, -1), (-4, -3, -2, -1)).reshape(-1, 3, *batch, 2 * h, 2 * w)


def to_planes(x: Tensor) -> Tensor:
    """A map (H, W, C) as planes (C, H, W), of B pictures (C, B, H, W)."""
    return x.movedim((-1, 0, 1), (0, -2, -1))


def to_rgb(v: Tensor, colour: Tensor) -> Tensor:
    """Pixels (H, W, 3) of planes v (3, H, W); colour (3, 3) has a row for each plane. Or of B pictures."""
    mixed = [(v[0] * colour[0, i]).add_(v[1] * colour[1, i]).add_(v[2] * colour[2, i]) for i in range(3)]
    levels = torch.stack(mixed, -1).add_(0.5).mul_(255)
    return levels.round_().clamp_(0, 255).to(torch.uint8).movedim((-3, -2), (0, 1)).contiguous()


def _lap_columns(x: Tensor, matrix: Tensor) -> Tensor:
    half = BLOCK // 2
    result = x.clone(memory_format=torch.contiguous_format)
    h = len(x)
    if h > BLOCK:
        around = result[half:-half].view(h // BLOCK - 1, BLOCK, -1)
        total = matrix[:, :1] * around[:, :1]
        product = torch.empty_like(total)
        for k in range(1, BLOCK):
            total += torch.mul(matrix[:, k : k + 1], around[:, k : k + 1], out=product)
        around.copy_(total)
    return result
