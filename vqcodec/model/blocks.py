"""Building blocks of the transforms."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.engine.restoration import OPPONENT_REAL
from vqcodec.model.dial import LEVEL_KNOTS
from vqcodec.model.rounding import RoundedConv


class LevelModulation(nn.Module):
    """x * (1 + scale(t)) + shift(t) per channel, at first the identity: one model serves the whole dial."""

    def __init__(self, channels: int, tunes: int = 1) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(tunes * LEVEL_KNOTS, 2 * channels))

    def forward(self, x: Tensor, basis: Tensor) -> Tensor:
        """x (B, C, H, W), basis (B, knots) of the dial -> (B, C, H, W) in the dtype of x."""
        scale, shift = (basis @ self.table).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, x, 1 + scale)


class ResidualBlock(nn.Module):
    """x + conv3x3(relu(modulate(conv3x3(x)))), modulated by the quality t."""

    def __init__(self, channels: int, tunes: int = 1) -> None:
        super().__init__()
        self.conv1 = RoundedConv(channels, channels, 3, signed=True)
        self.modulation = LevelModulation(channels, tunes)
        self.conv2 = RoundedConv(channels, channels, 3)
        with torch.no_grad():
            self.conv2.weight.mul_(0.3)

    def forward(self, x: Tensor, basis: Tensor) -> Tensor:
        """x (B, C, H, W) -> same shape."""
        return x + self.conv2(F.relu(self.modulation(self.conv1(x), basis)))


def opponent_colour(kind: torch.dtype = torch.float32) -> Tensor:
    """The orthonormal rows (3, 3) of the engine's opponent colour."""
    return torch.from_numpy(OPPONENT_REAL).to(kind, copy=True)


class Bounded(torch.autograd.Function):
    """Clamp to [0, top] that drops outward gradients, which stops saturated values from drifting away.

    Where a step down the gradient would lead further out, the gradient is zero; beyond `MARGIN` outside the
    range it is reversed and multiplied by `PULL`.
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
        """Gradient of x as described for the class; none for top."""
        (beyond,) = ctx.saved_tensors
        outward = beyond * grad < 0
        back = torch.where(beyond.abs() > Bounded.MARGIN, -Bounded.PULL * grad, 0)
        return torch.where(outward, back, grad), None
