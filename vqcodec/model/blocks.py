"""Building blocks of the transforms.

hat_basis          continuous level t -> weights of its two neighbouring knots
LevelModulation    t -> per-channel scale and shift (how one model serves every quality)
Bounded            a clamp whose gradient leads back inside
ResidualBlock      x + conv3x3(relu(modulate(conv3x3(x))))
opponent_colour    orthonormal brightness and two colour differences
dct_filters        the orthonormal 16x16 DCT on opponent colour that starts the linear shortcut
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.tiling import BLOCK as BLOCK

LEVEL_KNOTS = 9
"""Knots on the quality dial; everything that depends on the level is linear between them."""


def hat_basis(position: Tensor, knots: int) -> Tensor:
    """Linear-interpolation weights of `position` in [0, knots - 1].

    Args:
        position: any shape; values outside the range are clamped.
        knots: number of knots.

    Returns:
        shape `position.shape + (knots,)`; each row has at most two non-zero weights that sum to 1.
    """
    grid = torch.arange(knots, device=position.device, dtype=position.dtype)
    inside = position.clamp(0, knots - 1)
    return (1 - (inside.unsqueeze(-1) - grid).abs()).clamp_min(0)


def level_basis(level: Tensor) -> Tensor:
    """Basis (B, LEVEL_KNOTS) of the level t (B,) in [0, 1]."""
    return hat_basis(level * (LEVEL_KNOTS - 1), LEVEL_KNOTS)


class LevelModulation(nn.Module):
    """x * (1 + scale(t)) + shift(t), per channel, starting as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(LEVEL_KNOTS, 2 * channels))

    def forward(self, x: Tensor, basis: Tensor) -> Tensor:
        """x (B, C, H, W), basis (B, LEVEL_KNOTS) -> (B, C, H, W) in the dtype of x."""
        scale, shift = (basis @ self.table).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, x, 1 + scale)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with the level's modulation between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = LevelModulation(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(0.3)

    def forward(self, x: Tensor, basis: Tensor) -> Tensor:
        """x (B, C, H, W) -> same shape."""
        return x + self.conv2(F.relu(self.modulation(self.conv1(x), basis)))


# ln(energy) of natural-image DCT coefficients per opponent channel, fitted to photographs as
# offset - slope * ln(u^2 + v^2 + 0.5) with pixels in [0, 1]; it orders the filters by energy.
_ENERGY_FIT = ((2.152, 1.563), (0.387, 1.926), (-1.531, 1.680))


def opponent_colour(kind: torch.dtype = torch.float32) -> Tensor:
    """Orthonormal rows (3, 3): brightness, red against blue, green against both."""
    colour = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64, device="cpu")
    return (colour / colour.norm(dim=1, keepdim=True)).to(kind)


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


class Bounded(torch.autograd.Function):
    """Clamp to [0, top] whose gradient leads back inside, and never further out.

    Where a step down the gradient would lead out, there is none, or a small one back from beyond the margin.
    Had it a way out, a context number that likes one end of its classes would go on for ever: in the long run
    numbers of thousands, and layers so steep that they answer with nothing but the two ends.
    """

    MARGIN, PULL = 1.0, 0.05

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: Tensor) -> Tensor:
        """X clamped to [0, top]."""
        clamped = torch.minimum(x.clamp_min(0), top)
        ctx.save_for_backward(x - clamped)
        return clamped

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Of x, as the class says; none of top."""
        (beyond,) = ctx.saved_tensors
        outward = beyond * grad < 0
        back = torch.where(beyond.abs() > Bounded.MARGIN, -Bounded.PULL * grad, 0)
        return torch.where(outward, back, grad), None
