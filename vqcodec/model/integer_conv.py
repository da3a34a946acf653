"""Convolution that can be replayed in exact integers.

In exact mode (quantisation-aware training and export) the layer computes on the grid that the
integer prior uses, with straight-through gradients:

    inputs   integers times a fixed step per channel, magnitude at most 255
    weights  w * in_step = integer in [-127, 127] times one scale per output channel
    sums     sum|w| * 255 + |bias| < 2**24, so float32 products add up exactly in any order
    outputs  of hidden layers: clamp(round(x / step), 0, 255) * step
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.entropy.steps import HYPER_STEP as HYPER_STEP
from vqcodec.entropy.steps import VALUE_STEP as VALUE_STEP
from vqcodec.model.dial import LEVEL_KNOTS

ACTIVATION_STEP = 1 / 32
CONTEXT_STEP = 1 / 16
WEIGHT_MAX = 127
WEIGHT_SUM_MAX = 47_000
BIAS_MAX = 2**22


def ste_round(x: Tensor) -> Tensor:
    """Round to integers, gradient of the identity."""
    return x + (x.round() - x).detach()


def to_grid(x: Tensor, step: float, low: float, high: float, exact: bool) -> Tensor:
    """Clamp to [low, high] and, in exact mode, round to multiples of `step`; gradient of the clamp."""
    inside = x.clamp(low, high)
    return ste_round(inside / step) * step if exact else inside


def activate(x: Tensor, exact: bool) -> Tensor:
    """Clamped ReLU, to the grid of activations in exact mode."""
    return to_grid(x, ACTIVATION_STEP, 0, 255 * ACTIVATION_STEP, exact)


def conv_at(x: Tensor, weight: Tensor, corner: tuple[int, int] | None, groups: int = 1) -> Tensor:
    """Zero-padded convolution, everywhere or at every second row and column from `corner` (each 0 or 1)."""
    reach = weight.shape[2] // 2
    if corner is None:
        return F.conv2d(x, weight, padding=reach, groups=groups)
    i, j = corner
    return F.conv2d(F.pad(x, (reach - j, reach, reach - i, reach)), weight, stride=2, groups=groups)


class QuantizableConv(nn.Module):
    """1x1 or 3x3 convolution with optional level-dependent bias and clamped ReLU."""

    def __init__(
        self, inputs: list[tuple[int, float]], outputs: int, kernel: int, relu: bool, level_biases: int = 0
    ) -> None:
        """Usual start.

        Args:
            inputs: (channels, step of their integer grid) of each part that is concatenated.
            level_biases: tunes for which a bias depends on the level.
        """
        super().__init__()
        in_channels = sum(n for n, _ in inputs)
        conv = nn.Conv2d(in_channels, outputs, kernel)
        self.weight = nn.Parameter(conv.weight.detach())
        self.bias = nn.Parameter(torch.zeros(outputs))
        knots = level_biases * LEVEL_KNOTS
        self.level_bias = nn.Parameter(torch.zeros(knots, outputs)) if knots else None
        steps = torch.cat([torch.full((n,), step) for n, step in inputs])
        self.in_step: Tensor
        self.register_buffer("in_step", steps, persistent=False)
        self.kernel, self.relu = kernel, relu

    def integer_weight(self, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Unrounded integer-domain weight (O, I, k, k), weight * in_step / scale, and its scale (O,); only
        outputs `rows` if given.
        """
        weight: Tensor = self.weight if rows is None else self.weight.index_select(0, rows)
        scaled = weight * self.in_step[:, None, None]
        flat = scaled.detach().abs().flatten(1)
        scale = torch.maximum(flat.amax(1) / WEIGHT_MAX, flat.sum(1) / WEIGHT_SUM_MAX).clamp_min(1e-8)
        return scaled / scale[:, None, None, None], scale

    def biases(self, basis: Tensor | None) -> Tensor:
        """Bias (O,) or, with the basis (B, knots) of the dial, (B, O)."""
        if self.level_bias is None or basis is None:
            return self.bias
        return self.bias + basis @ self.level_bias

    def forward(
        self,
        x: Tensor,
        basis: Tensor | None = None,
        exact: bool = False,
        corner: tuple[int, int] | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """x (B, I, h, w) -> (B, O, h, w), or a quarter of it, see `conv_at`; only outputs `rows` if given."""
        bias = self.biases(basis)
        weight: Tensor = self.weight
        if rows is not None:
            bias, weight = bias.index_select(-1, rows), weight.index_select(0, rows)
        if exact:
            integer, scale = self.integer_weight(rows)
            weight = ste_round(integer) * scale[:, None, None, None] / self.in_step[:, None, None]
            bias = ste_round(bias / scale) * scale
        out = conv_at(x, weight, corner) + bias.reshape(-1, bias.shape[-1], 1, 1)
        return activate(out, exact) if self.relu else out
