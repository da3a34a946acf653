"""The hyper-analysis: what of a latent is told beforehand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HyperAnalysis(nn.Module):
    """h_a: y (B, M, h, w), h and w multiples of 4, to z at a quarter of its size."""

    def __init__(self, channels: int, width: int, hyper_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(4 * channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(4 * width, hyper_channels, 1)

    def forward(self, y: Tensor) -> Tensor:
        """The latent's magnitude counts, so it is companded first."""
        h = F.relu(self.squeeze(F.pixel_unshuffle(torch.asinh(y), 2)))
        h = F.relu(self.mix(h))
        return self.tail(F.pixel_unshuffle(h, 2)).float()
