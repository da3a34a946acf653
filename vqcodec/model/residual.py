"""Two residual stages: a coarse codebook, and a fine one for what it leaves.

The usual way to many codewords at little search: the fine stage multiplies the coarse one's. Same interface
as `VectorQuantizer`, so that a comparison changes nothing else. Each stage has half of the words, the same
context numbers, and class logits of its own; the second does not look at the first one's choice. It is for
measurements only; its models cannot be exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqcodec.model.codebook import ALL, Band, Quantized, VectorQuantizer
from vqcodec.model.free_energy import Contexts
from vqcodec.training.codebook_start import start_quantizer

RATIO = 4.0
"""Steps of the fine stage in one of the coarse stage."""


class ResidualQuantizer(nn.Module):
    """Quantises r / RATIO by the first stage, and what that leaves by the second."""

    def __init__(self, bands: tuple[Band, ...], context_levels: tuple[int, ...]) -> None:
        super().__init__()
        halves = tuple(Band(b.size, b.channels, b.words // 2) for b in bands)
        self.first, self.second = (VectorQuantizer(halves, context_levels) for _ in range(2))
        self.groups, self.channels = self.first.groups, self.first.channels
        self.context_levels = context_levels

    @property
    def grid(self) -> float:
        """See `VectorQuantizer.grid`."""
        return self.first.grid

    @grid.setter
    def grid(self, step: float) -> None:
        self.first.grid = self.second.grid = step

    @property
    def gradient_dtype(self) -> torch.dtype:
        """See `VectorQuantizer.gradient_dtype`."""
        return self.first.gradient_dtype

    @gradient_dtype.setter
    def gradient_dtype(self, kind: torch.dtype) -> None:
        self.first.gradient_dtype = self.second.gradient_dtype = kind

    def arrange(self, context: Tensor, bands: slice = ALL) -> list[Contexts]:
        """See `VectorQuantizer.arrange`."""
        return self.first.arrange(context, bands)

    def forward(
        self, residual: Tensor, contexts: list[Contexts], keep: Tensor | None = None, bands: slice = ALL
    ) -> Quantized:
        """See `VectorQuantizer.forward`; indices are those of the first stage, then of the second.

        The energy of the first stage counts the coarse error too, at a price RATIO**2 lower.
        """
        coarse = self.first(residual / RATIO, contexts, keep, bands)
        value = RATIO * coarse.value.detach()
        fine = self.second(residual - value, contexts, keep, bands)
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
            the scale class of each group, as `start_quantizer`.
        """
        typical = start_quantizer(self.first, [sample / RATIO for sample in samples])
        left = []
        for sample, words in zip(samples, self.first.words, strict=True):
            nearest = torch.cdist(sample / RATIO, words).argmin(-1)
            chosen = words.gather(1, nearest.unsqueeze(-1).expand(-1, -1, words.shape[-1]))
            left.append(sample - RATIO * chosen)
        start_quantizer(self.second, left)
        return typical
