"""The codebooks: an entropy-constrained grouped vector quantiser.

The residual r = y - mu of each group (a few channels with a codebook of their own) is quantised to

    k = argmin_k  w |r - c_k|^2 - ln p(k | context),      w = 6: the slope of a unit-step quantiser,

and is trained by the free energy of `vqcodec.model.free_energy` (entropy-constrained VQ, soft assignments,
Chou et al. 1989). p is a softmax over the codewords whose logits are interpolated linearly between bins of
two bounded context numbers (u0, u1); rounded, these are the context class that selects a table for coding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vqcodec.entropy.steps import SLOPE as SLOPE
from vqcodec.entropy.steps import greedy_slope as greedy_slope
from vqcodec.model.free_energy import Contexts, FreeEnergy
from vqcodec.model.integer_conv import ste_round


@dataclass(frozen=True)
class Band:
    """Neighbouring channels split in groups with one codebook each; group g takes g, g+G, g+2G, ...

    Attributes:
        size: channels of a group, d.
        channels: channels of the band.
        codewords: number K of codewords of each group.
    """

    size: int
    channels: int
    codewords: int

    @property
    def groups(self) -> int:
        """Number of groups G in the band."""
        return self.channels // self.size


@dataclass
class Quantized:
    """Result of one quantiser call over N positions.

    Attributes:
        value: quantised residual (B, C, h, w), with straight-through gradient.
        energy: free energy in nats per sample (B,).
        rate: -ln p(k) of the chosen codewords in nats per sample (B,), no gradient.
        index: indices of the chosen codewords, one (G, N) tensor per band, N = B*h*w.
        residual: the input in group layout, one (G, N, d) tensor per band, detached.
        contexts: the context numbers that were given, one item per band.
    """

    value: Tensor
    energy: Tensor
    rate: Tensor
    index: list[Tensor]
    residual: list[Tensor]
    contexts: list[Contexts]

    @classmethod
    def join(cls, parts: Sequence[Quantized]) -> Quantized:
        """Join the results of neighbouring bands at the same positions."""
        return cls(
            torch.cat([part.value for part in parts], 1),
            torch.stack([part.energy for part in parts]).sum(0),
            torch.stack([part.rate for part in parts]).sum(0),
            [index for part in parts for index in part.index],
            [residual for part in parts for residual in part.residual],
            [contexts for part in parts for contexts in part.contexts],
        )


ALL = slice(None)


def to_groups(x: Tensor, band: Band) -> Tensor:
    """(B, size*G, h, w) -> (G, B*h*w, size)."""
    b, _, h, w = x.shape
    grouped = x.reshape(b, band.size, band.groups, h, w).permute(2, 0, 3, 4, 1)
    return grouped.reshape(band.groups, b * h * w, band.size)


def from_groups(x: Tensor, band: Band, shape: tuple[int, int, int]) -> Tensor:
    """(G, B*h*w, size) -> (B, size*G, h, w) for shape (B, h, w)."""
    b, h, w = shape
    return x.reshape(band.groups, b, h, w, band.size).permute(1, 4, 0, 2, 3).reshape(b, band.channels, h, w)


class VectorQuantizer(nn.Module):
    """One codebook and one table of bin logits per group, for all bands of a latent."""

    def __init__(self, bands: tuple[Band, ...], context_levels: tuple[int, ...]) -> None:
        """Zeros, see `vqcodec.training.codebook_start`; `context_levels`: bins of each context number."""
        super().__init__()
        self.bands = bands
        self.context_levels = context_levels
        rows = sum(context_levels)
        self.words = nn.ParameterList(torch.zeros(b.groups, b.codewords, b.size) for b in bands)
        self.bias = nn.ParameterList(torch.zeros(b.groups, b.codewords) for b in bands)
        self.table = nn.ParameterList(torch.zeros(b.groups, rows, b.codewords) for b in bands)
        self.slopes = [SLOPE] * len(bands)
        """Weight w of a squared error in each band."""
        self.grid = 0.0
        """Step of the fixed-point grid that codewords are rounded to in exact mode, 0 = not rounded."""
        self.gradient_dtype = torch.float32
        """Type of the backward matrix products."""

    @property
    def groups(self) -> int:
        """Number of groups in all bands."""
        return sum(b.groups for b in self.bands)

    def use_greedy_slopes(self) -> None:
        """From now on choose codewords as the encoder does at effort 1."""
        self.slopes = [greedy_slope(band.size) for band in self.bands]

    def codewords(self, i: int) -> Tensor:
        """Codewords (G, K, d) of band i, on the fixed-point grid in exact mode."""
        words = self.words[i]
        return ste_round(words / self.grid) * self.grid if self.grid else words

    def arrange(self, context: Tensor, bands: slice = ALL) -> list[Contexts]:
        """Context (B, dims, G, h, w) in units of bins -> one `Contexts` for each of `bands`.

        In exact mode the numbers are rounded to bins, with the gradient of the interpolation between them.
        """
        numbers = context.transpose(0, 1).transpose(1, 2).flatten(2)
        by_band = numbers.split([band.groups for band in self.bands[bands]], 1)
        return [Contexts.of(part, bool(self.grid)) for part in by_band]

    def forward(
        self, residual: Tensor, contexts: list[Contexts], keep: Tensor | None = None, bands: slice = ALL
    ) -> Quantized:
        """Quantise `residual` (B, C, h, w) given the context numbers of each band.

        Args:
            keep: mask (B, h, w); positions at 0 are not coded (value 0, no cost).
            bands: the bands that the channels belong to.
        """
        b, _, h, w = residual.shape
        values, indices, residuals = [], [], []
        energy = residual.new_zeros(b)
        rate = residual.new_zeros(b)
        start = 0
        for i, given in zip(range(len(self.bands))[bands], contexts, strict=True):
            band = self.bands[i]
            r = to_groups(residual[:, start : start + band.channels], band).float()
            start += band.channels
            words = self.codewords(i)
            settings = self.context_levels, self.slopes[i], self.gradient_dtype
            e, index, bits = FreeEnergy.apply(
                given.numbers, given.taken, r, self.table[i], self.bias[i], words, *settings
            )
            word = words.gather(1, index.unsqueeze(-1).expand(-1, -1, band.size))
            if keep is not None:
                e, bits = e * keep.reshape(-1), bits * keep.reshape(-1)
            energy = energy + e.reshape(band.groups, b, -1).sum((0, 2))
            rate = rate + bits.reshape(band.groups, b, -1).sum((0, 2))
            values.append(from_groups(word + r - r.detach(), band, (b, h, w)))
            indices.append(index)
            residuals.append(r.detach())
        value = torch.cat(values, 1)
        if keep is not None:
            value = value * keep.unsqueeze(1)
        return Quantized(value, energy, rate, indices, residuals, contexts)
