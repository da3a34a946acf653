"""Time-domain lapping: a small filter across block boundaries that makes a block transform overlap.

Before the blocks are transformed, each 16 samples around a boundary (8 of either block) are mixed by an
invertible matrix, and after the inverse transform they are unmixed, along rows and columns. Blocks then
share what they have in common, and errors at boundaries are smoothed away: the lapped transforms of Malvar,
built from a pre-filter as Tran, Liang and Tu do (2003). On photographs the 16x16 DCT gains 0.4 to 0.7 dB.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqcodec.model.blocks import BLOCK

SCALING = 1.3
"""Scale of the lowest antisymmetric part: 1 is the orthogonal transform, more favours low rates."""


def _cosines(count: int, kind: int) -> Tensor:
    """Orthonormal cosine transform of kind 2 or 4, (count, count) in float64."""
    # On the CPU even under device "meta", where arithmetic imports torch's compiler.
    n = torch.arange(count, dtype=torch.float64, device="cpu")
    if kind == 4:
        return math.sqrt(2 / count) * torch.cos(math.pi / (4 * count) * torch.outer(2 * n + 1, 2 * n + 1))
    basis = math.sqrt(2 / count) * torch.cos(math.pi / (2 * count) * torch.outer(n, 2 * n + 1))
    basis[0] /= math.sqrt(2)
    return basis


def pre_filter(scaling: float = SCALING) -> Tensor:
    """The matrix (16, 16) that mixes the samples around a boundary; float64.

    B diag(I, V) B with butterflies B and V = J C2' diag(scaling, 1, ...) C4 J on the 8 differences.
    """
    half = BLOCK // 2
    one = torch.eye(half, dtype=torch.float64, device="cpu")
    flip = one.flip(0)
    butterfly = torch.cat([torch.cat([one, flip], 1), torch.cat([flip, -one], 1)]) / math.sqrt(2)
    scale = torch.ones(half, dtype=torch.float64, device="cpu")
    scale[0] = scaling
    inner = flip @ _cosines(half, 2).T @ torch.diag(scale) @ _cosines(half, 4) @ flip
    return butterfly @ torch.block_diag(one, inner) @ butterfly


def lap(x: Tensor, matrix: Tensor) -> Tensor:
    """Apply `matrix` (16, 16) across all block boundaries inside x (B, C, H, W), H and W multiples of 16."""
    half = BLOCK // 2
    for _ in range(2):  # across rows, then across columns
        b, c, h, w = x.shape
        if h > BLOCK:
            around = x[:, :, half:-half].reshape(b, c, -1, BLOCK, w)
            mixed = torch.matmul(matrix, around).reshape(b, c, h - BLOCK, w)
            x = torch.cat([x[:, :, :half], mixed, x[:, :, -half:]], 2)
        x = x.transpose(2, 3)
    return x
