"""Residual vector quantisation in two stages: a coarse codebook, and a fine one for what it leaves.

The usual way to many codewords at little search: the fine stage multiplies the coarse one's. Each stage has
half of the codewords, the same context numbers, and bin logits of its own; the second does not look at the
first one's choice.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vqcodec.model.codebook import ALL, Band, Quantized, VectorQuantizer
from vqcodec.model.free_energy import Contexts
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.codebook_start import start_quantizer

RATIO = 4.0
"""Steps of the fine stage in one of the coarse stage."""


class ResidualQuantizer(VectorQuantizer):
    """Quantises r / RATIO by the first stage, and what that leaves by the second."""

    def __init__(self, bands: tuple[Band, ...], context_levels: tuple[int, ...]) -> None:
        super().__init__(bands, context_levels)
        self.words, self.bias, self.table = (nn.ParameterList() for _ in range(3))
        halves = tuple(Band(b.size, b.channels, b.codewords // 2) for b in bands)
        self.first, self.second = (VectorQuantizer(halves, context_levels) for _ in range(2))

    def _stages(self) -> Iterator[VectorQuantizer]:
        """Both, in the mode that this quantiser is in."""
        for stage in (self.first, self.second):
            stage.grid, stage.gradient_dtype = self.grid, self.gradient_dtype
            yield stage

    def forward(
        self, residual: Tensor, contexts: list[Contexts], keep: Tensor | None = None, bands: slice = ALL
    ) -> Quantized:
        """See `VectorQuantizer.forward`; indices are those of the first stage, then of the second.

        The energy of the first stage counts the coarse error too, at a weight RATIO**2 lower.
        """
        first, second = self._stages()
        coarse = first(residual / RATIO, contexts, keep, bands)
        value = RATIO * coarse.value.detach()
        fine = second(residual - value, contexts, keep, bands)
        return Quantized(
            value + fine.value,
            coarse.energy + fine.energy,
            coarse.rate + fine.rate,
            coarse.index + fine.index,
            coarse.residual + fine.residual,
            coarse.contexts + fine.contexts,
        )

    @torch.no_grad()
    def start(self, samples: list[Tensor]) -> Tensor:
        """Lloyd start of both stages from group samples (G, n, d).

        Returns:
            the bin (G,) of each group's scale, as `start_quantizer`.
        """
        typical = start_quantizer(self.first, [sample / RATIO for sample in samples])
        left = []
        for sample, words in zip(samples, self.first.words, strict=True):
            nearest = torch.cdist(sample / RATIO, words).argmin(-1)
            chosen = words.gather(1, nearest.unsqueeze(-1).expand(-1, -1, words.shape[-1]))
            left.append(sample - RATIO * chosen)
        start_quantizer(self.second, left)
        return typical


class ResidualVQVAE(VQVAE):
    """The model with two residual stages."""

    def make_quantizer(self, bands: tuple[Band, ...]) -> VectorQuantizer:
        """See `ResidualQuantizer`."""
        return ResidualQuantizer(bands, self.config.context_levels)
