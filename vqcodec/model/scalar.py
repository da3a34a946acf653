"""Scalar rounding with a mean-scale Gaussian prior: the quantiser that VQ must beat.

Same interface as `VectorQuantizer`, so that the comparison changes nothing else: additive uniform
noise for the rate and straight-through rounding for the decoder (Balle et al. 2018, Minnen and Singh
2020). It is for measurements only; its models cannot be exported.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vqcodec.model.codebook import ALL, Quantized

SCALE_MIN, SCALE_MAX = 0.05, 40.0
"""Scales in steps at the two ends of u0."""
TAIL = 20.0
"""Nats that a value costs at most; a coder would escape beyond."""


class ScalarQuantizer(nn.Module):
    """Rounds r = y - mu; u0 is the logarithm of the Gaussian's scale."""

    def __init__(self, channels: int, context_levels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = self.groups = channels
        self.context_levels = context_levels
        self.grid = 0.0

    def arrange(self, context: Tensor, bands: slice = ALL) -> list[Tensor]:
        """All channels are one band; context (B, dims, C, h, w) -> [scale (B, C, h, w)] in steps."""
        share = context[:, 0] / (self.context_levels[0] - 1)
        return [SCALE_MIN * torch.exp(share * math.log(SCALE_MAX / SCALE_MIN))]

    def forward(
        self, residual: Tensor, features: list[Tensor], keep: Tensor | None = None, bands: slice = ALL
    ) -> Quantized:
        """See `VectorQuantizer.forward`."""
        scale = features[0]
        rounded = residual.round()
        nats = _gaussian_nats(residual + torch.empty_like(residual).uniform_(-0.5, 0.5), scale)
        hard = _gaussian_nats(rounded.detach(), scale).detach().clamp_max(TAIL)
        value = residual + (rounded - residual).detach()
        if keep is not None:
            mask = keep.unsqueeze(1)
            nats, hard, value = nats * mask, hard * mask, value * mask
        return Quantized(value, nats.sum((1, 2, 3)), hard.sum((1, 2, 3)), [], [], [])


def _gaussian_nats(value: Tensor, scale: Tensor) -> Tensor:
    """-ln of the Gaussian's mass in the unit cell around `value`; logarithmic in it beyond `TAIL` nats.

    Computed from logarithms, so that values far outside still pull mean and scale towards them: a mass with a
    floor has no gradient there (measured: J 1 to 3 % higher after 400 of 800 steps).
    """
    magnitude = value.abs()
    upper = torch.special.log_ndtr((0.5 - magnitude) / scale)
    lower = torch.special.log_ndtr((-0.5 - magnitude) / scale)
    nats = -(upper + torch.log1p(-torch.exp(lower - upper)))
    return torch.where(nats <= TAIL, nats, TAIL + TAIL * (nats.clamp_min(TAIL) / TAIL).log())
