"""Synthesis transform g_s, the decoder: the mirror image of g_a, followed by the restoration.

    y (B,M,h,w) --1x1--> blocks at 1/16 --1x1, shuffle 2--> blocks at 1/8 --conv, shuffle 8--> +--> restore
    y ------- linear shortcut: 16x16 filters with stride 16, then inverse lapping -------------+

`vqcodec.model.restoration` also sees the features of the last block at 1/8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.model.blocks import ResidualBlock
from vqcodec.model.dial import level_basis
from vqcodec.model.restoration import Restoration
from vqcodec.model.rounding import RoundedConv
from vqcodec.model.shortcut import dct_filters, lap, pre_filter
from vqcodec.tiling import BLOCK


class SynthesisTransform(nn.Module):
    """g_s: latent in pixel units back to the picture."""

    def __init__(
        self,
        channels: int,
        sizes: tuple[int, int, int, int],
        restoration: tuple[int, int],
        tunes: int = 1,
    ) -> None:
        """Random network of `sizes` and `restoration` (see `ModelConfig`), shortcut at its start."""
        super().__init__()
        self.tunes = tunes
        wide, deep, blocks_wide, blocks_deep = sizes
        filters, deviation = dct_filters(channels)
        self.shortcut = nn.Parameter(filters)
        self.lapping = nn.Parameter(torch.linalg.inv(pre_filter()).float())
        self.deviation: Tensor
        self.register_buffer("deviation", deviation)
        self.head = nn.Conv2d(channels, deep, 1)
        self.blocks_deep = nn.ModuleList(ResidualBlock(deep, tunes) for _ in range(blocks_deep))
        self.up = nn.Conv2d(deep, 4 * wide, 1)
        self.blocks_wide = nn.ModuleList(ResidualBlock(wide, tunes) for _ in range(blocks_wide))
        self.tail = RoundedConv(wide, 3 * 64, 3, signed=True)
        self.restoration = Restoration(*restoration, wide, tunes)
        with torch.no_grad():
            self.tail.weight.mul_(0.02)

    def linear(self, y: Tensor) -> Tensor:
        """The shortcut alone: (B, M, h, w) -> (B, 3, 16h, 16w), float32, around 0."""
        with torch.autocast(y.device.type, enabled=False):
            samples = F.conv2d(y.float(), self.shortcut.float().flatten(1).T[:, :, None, None])
            return lap(F.pixel_shuffle(samples, BLOCK), self.lapping)

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        """y (B, M, h, w) float32, dial t (B,) -> picture (B, 3, 16h, 16w) float32, not clamped."""
        basis = level_basis(t, self.tunes)
        h = y / self.deviation[:, None, None]
        h = self.head(h.contiguous(memory_format=torch.channels_last))
        for block in self.blocks_deep:
            h = block(h, basis)
        h = F.pixel_shuffle(self.up(h), 2)
        for block in self.blocks_wide:
            h = block(h, basis)
        picture = self.linear(y) + F.pixel_shuffle(self.tail(h), 8).float()
        return self.restoration(picture, basis, h) + 0.5
