"""The linear shortcut beside the networks of both transforms: a lapped block transform, started as a DCT.

Before the 16x16 block transform, each 16 samples around a block boundary are mixed by an invertible matrix,
and unmixed after the inverse transform; along rows and along columns (Malvar's lapped transform, built from a
pre-filter as by Tran, Liang and Tu 2003). It smooths quantisation errors at boundaries.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vqcodec.model.blocks import opponent_colour
from vqcodec.tiling import BLOCK

SCALING = 1.3
"""Scale of the lowest antisymmetric part: 1 is the orthogonal transform, more favours low rates."""
# ln(energy) of natural-image DCT coefficients per opponent channel, fitted to photographs as
# offset - slope * ln(u^2 + v^2 + 0.5) with pixels in [0, 1]; it orders the filters by energy.
_ENERGY_FIT = ((2.152, 1.563), (0.387, 1.926), (-1.531, 1.680))


def dct_filters(count: int) -> tuple[Tensor, Tensor]:
    """The `count` strongest orthonormal 16x16 DCT filters on orthonormal opponent colour.

    Returns:
        filters (count, 3, 16, 16) in order of falling energy, orthonormal as vectors of 768, and
        the expected standard deviation (count,) of each coefficient for pixels in [0, 1].
    """
    colour = opponent_colour(torch.float64).numpy()
    n = np.arange(BLOCK)
    basis = np.sqrt(2 / BLOCK) * np.cos(math.pi * (2 * n[None, :] + 1) * n[:, None] / (2 * BLOCK))
    basis[0] /= math.sqrt(2)
    radius = n[:, None] ** 2 + n[None, :] ** 2
    energy = np.stack([offset - slope * np.log(radius + 0.5) for offset, slope in _ENERGY_FIT])
    order = np.argsort(-energy.reshape(-1), kind="stable")[:count]
    channel, u, v = np.unravel_index(order, energy.shape)
    filters = np.einsum("fc,fi,fj->fcij", colour[channel], basis[u], basis[v])
    deviation = np.exp(energy.reshape(-1)[order] / 2)
    return torch.from_numpy(filters).float(), torch.from_numpy(deviation).float()


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
