"""Analysis transform g_a, the encoder, and hyper-analysis h_a.

    x (B,3,H,W) --unshuffle 8--> conv, blocks at 1/8 --unshuffle 2--> 1x1, blocks at 1/16 --conv--> +--> y
    x ------- linear shortcut: lapping, then 16x16 filters with stride 16, initialised as a DCT ---+

with y (B,M,H/16,W/16). The shortcut stays in float32 under autocast: rounding to bfloat16 only touches
the correction that the network adds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.model.blocks import ResidualBlock
from vqcodec.model.dial import level_basis
from vqcodec.model.rounding import RoundedConv
from vqcodec.model.shortcut import dct_filters, lap, pre_filter
from vqcodec.tiling import BLOCK


class AnalysisTransform(nn.Module):
    """g_a: picture in [0, 1] to the latent y in pixel units (gains are applied by the caller)."""

    def __init__(self, channels: int, sizes: tuple[int, int, int, int], tunes: int = 1) -> None:
        """Random network of `sizes` (see `ModelConfig.analysis`), shortcut at its start."""
        super().__init__()
        self.tunes = tunes
        wide, deep, blocks_wide, blocks_deep = sizes
        self.shortcut = nn.Parameter(dct_filters(channels)[0])
        self.lapping = nn.Parameter(pre_filter().float())
        self.head = nn.Conv2d(3 * 64, wide, 3, padding=1)
        self.blocks_wide = nn.ModuleList(ResidualBlock(wide, tunes) for _ in range(blocks_wide))
        self.down = nn.Conv2d(4 * wide, deep, 1)
        self.blocks_deep = nn.ModuleList(ResidualBlock(deep, tunes) for _ in range(blocks_deep))
        self.tail = nn.Conv2d(deep, channels, 1)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)

    def linear(self, x: Tensor) -> Tensor:
        """The shortcut alone: (B, 3, H, W) -> (B, M, H/16, W/16), float32."""
        with torch.autocast(x.device.type, enabled=False):
            x = lap(x.float() - 0.5, self.lapping)
            # A 1x1 convolution of unshuffled blocks: three times as fast as one of 16x16 with stride 16.
            return F.conv2d(F.pixel_unshuffle(x, BLOCK), self.shortcut.float().flatten(1)[:, :, None, None])

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (B, 3, H, W) with H and W multiples of 16, dial t (B,) -> y (B, M, H/16, W/16)."""
        basis = level_basis(t, self.tunes)
        h = F.relu(self.head(F.pixel_unshuffle(x - 0.5, 8).contiguous(memory_format=torch.channels_last)))
        for block in self.blocks_wide:
            h = block(h, basis)
        h = self.down(F.pixel_unshuffle(h, 2))
        for block in self.blocks_deep:
            h = block(h, basis)
        with torch.autocast(x.device.type, enabled=False):
            # Outputs of many quantiser steps: bfloat16 would round them by about one step.
            y = self.tail(h.float())
        return self.linear(x) + y


class HyperAnalysis(nn.Module):
    """h_a: y (B, M, h, w), h and w multiples of 4, to the hyper-latent z (B, Z, h/4, w/4)."""

    def __init__(self, channels: int, width: int, hyper_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(4 * channels, width, 1)
        self.mix = RoundedConv(width, width, 3)
        self.tail = nn.Conv2d(4 * width, hyper_channels, 1)

    def forward(self, y: Tensor) -> Tensor:
        """z in float32; the latent is companded (asinh) first."""
        h = F.relu(self.squeeze(F.pixel_unshuffle(torch.asinh(y), 2)))
        h = F.relu(self.mix(h))
        return self.tail(F.pixel_unshuffle(h, 2)).float()
