"""Scalar rounding with a mean-scale Gaussian prior: the quantiser that VQ must beat.

Additive uniform noise for the rate and straight-through rounding for the decoder (Balle et al. 2018, Minnen
and Singh 2020); all else is the model's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vqcodec.model.codebook import ALL, Band, Quantized, VectorQuantizer
from vqcodec.model.free_energy import Contexts
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.codebook_start import SCALE_MAX, SCALE_MIN

TAIL = 20.0
"""Nats that a value costs at most; a coder would escape beyond."""


class ScalarQuantizer(VectorQuantizer):
    """Rounds r = y - mu of each channel; u0 is the logarithm of the Gaussian's scale."""

    def __init__(self, bands: tuple[Band, ...], context_levels: tuple[int, ...]) -> None:
        super().__init__(tuple(Band(1, b.channels, 0) for b in bands), context_levels)
        self.words, self.bias, self.table = (nn.ParameterList() for _ in range(3))

    def arrange(self, context: Tensor, bands: slice = ALL) -> list[Contexts]:
        """Context (B, dims, C, h, w) -> one item, whose numbers are scales (B, C, h, w) in steps."""
        share = context[:, 0] / (self.context_levels[0] - 1)
        return [Contexts.of(SCALE_MIN * torch.exp(share * math.log(SCALE_MAX / SCALE_MIN)), rounded=False)]

    def forward(
        self, residual: Tensor, contexts: list[Contexts], keep: Tensor | None = None, bands: slice = ALL
    ) -> Quantized:
        """See `VectorQuantizer.forward`; there are no indices."""
        scale = contexts[0].numbers
        rounded = residual.round()
        nats = _gaussian_nats(residual + torch.empty_like(residual).uniform_(-0.5, 0.5), scale)
        hard = _gaussian_nats(rounded.detach(), scale).detach().clamp_max(TAIL)
        value = residual + (rounded - residual).detach()
        if keep is not None:
            mask = keep.unsqueeze(1)
            nats, hard, value = nats * mask, hard * mask, value * mask
        return Quantized(value, nats.sum((1, 2, 3)), hard.sum((1, 2, 3)), [], [], [])


class ScalarVQVAE(VQVAE):
    """The model with scalar rounding of the latent."""

    def make_quantizer(self, bands: tuple[Band, ...]) -> VectorQuantizer:
        """See `ScalarQuantizer`."""
        return ScalarQuantizer(bands, self.config.context_levels)


def _gaussian_nats(value: Tensor, scale: Tensor) -> Tensor:
    """-ln of the Gaussian's mass in the unit cell around `value`; logarithmic in it beyond `TAIL` nats.

    Computed from logarithms, so that values far outside still have a gradient towards mean and scale.
    """
    magnitude = value.abs()
    upper = torch.special.log_ndtr((0.5 - magnitude) / scale)
    lower = torch.special.log_ndtr((-0.5 - magnitude) / scale)
    nats = -(upper + torch.log1p(-torch.exp(lower - upper)))
    return torch.where(nats <= TAIL, nats, TAIL + TAIL * (nats.clamp_min(TAIL) / TAIL).log())
