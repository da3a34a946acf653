"""Analysis transform g_a (the encoder) and synthesis transform g_s (the decoder).

    x (B,3,H,W) --unshuffle 8--> conv, blocks at 1/8 --unshuffle 2--> 1x1, blocks at 1/16 --conv--> +--> y
    x ------------- linear shortcut: 16x16 DCT-initialised filters, stride 16 ----------------------+

with y (B,M,H/16,W/16).
g_s mirrors it, and ends with `vqcodec.model.restoration`, which also sees what the blocks at 1/8 end with.
All heavy convolutions are plain 3x3 at 1/8 and 1/16; the shortcut stays in float32 under autocast so that
bf16 rounding only touches the correction that the network adds. With `lapped` its blocks overlap, see
`vqcodec.model.shortcut`. For comparisons `shortcut=False` leaves it out of either.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.model.blocks import BLOCK, ResidualBlock, dct_filters, level_basis
from vqcodec.model.restoration import Restoration
from vqcodec.model.shortcut import lap, pre_filter


class _WithShortcut(nn.Module):
    """What both transforms have beside their networks: the filters of the linear shortcut."""

    def __init__(self, filters: Tensor, lapping: Tensor, shortcut: bool = True, lapped: bool = False) -> None:
        """Start from `filters` (M, 3, 16, 16) and, with `lapped`, the matrix `lapping` (16, 16)."""
        super().__init__()
        self.has_shortcut = shortcut
        if shortcut:
            self.shortcut = nn.Parameter(filters)
        self.lapping = nn.Parameter(lapping.float()) if shortcut and lapped else None


class AnalysisTransform(_WithShortcut):
    """g_a: picture in [0, 1] to the latent y in pixel units (gains are applied by the caller)."""

    def __init__(
        self, channels: int, wide: int, deep: int, blocks_wide: int, blocks_deep: int, **linear: bool
    ) -> None:
        filters, deviation = dct_filters(channels)
        super().__init__(filters, pre_filter(), **linear)
        self.head = nn.Conv2d(3 * 64, wide, 3, padding=1)
        self.blocks_wide = nn.ModuleList(ResidualBlock(wide) for _ in range(blocks_wide))
        self.down = nn.Conv2d(4 * wide, deep, 1)
        self.blocks_deep = nn.ModuleList(ResidualBlock(deep) for _ in range(blocks_deep))
        self.tail = nn.Conv2d(deep, channels, 1)
        with torch.no_grad():
            # Without the shortcut nothing else gives the channels the energies that g_s and the bands expect.
            energies = deviation[:, None, None, None].to(self.tail.weight)
            self.tail.weight.mul_(0.1 if self.has_shortcut else energies)

    def linear(self, x: Tensor) -> Tensor:
        """The shortcut alone: (B, 3, H, W) -> (B, M, H/16, W/16), float32."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() - 0.5
            if self.lapping is not None:
                x = lap(x, self.lapping)
            # Blocks as channels; as a convolution of 16x16 samples it took three times as long.
            return F.conv2d(F.pixel_unshuffle(x, BLOCK), self.shortcut.float().flatten(1)[:, :, None, None])

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x (B, 3, H, W) with H and W multiples of 16, level (B,) -> y (B, M, H/16, W/16)."""
        basis = level_basis(level)
        h = F.relu(self.head(F.pixel_unshuffle(x - 0.5, 8).contiguous(memory_format=torch.channels_last)))
        for block in self.blocks_wide:
            h = block(h, basis)
        h = self.down(F.pixel_unshuffle(h, 2))
        for block in self.blocks_deep:
            h = block(h, basis)
        with torch.autocast(x.device.type, enabled=False):
            # In bfloat16 its answer, many steps at the top of the dial, would be off by a part of one.
            y = self.tail(h.float())
        return self.linear(x) + y if self.has_shortcut else y


class SynthesisTransform(_WithShortcut):
    """g_s: latent in pixel units back to the picture."""

    def __init__(
        self,
        channels: int,
        wide: int,
        deep: int,
        blocks_wide: int,
        blocks_deep: int,
        restoration: tuple[int, int] = (0, 0),
        guided: bool = False,
        **linear: bool,
    ) -> None:
        filters, deviation = dct_filters(channels)
        super().__init__(filters, torch.linalg.inv(pre_filter()), **linear)
        self.deviation: Tensor
        self.register_buffer("deviation", deviation)
        self.head = nn.Conv2d(channels, deep, 1)
        self.blocks_deep = nn.ModuleList(ResidualBlock(deep) for _ in range(blocks_deep))
        self.up = nn.Conv2d(deep, 4 * wide, 1)
        self.blocks_wide = nn.ModuleList(ResidualBlock(wide) for _ in range(blocks_wide))
        self.tail = nn.Conv2d(wide, 3 * 64, 3, padding=1)
        guide = wide if guided else 0
        self.restoration = Restoration(*restoration, guide) if restoration[0] else None
        with torch.no_grad():
            self.tail.weight.mul_(0.02 if self.has_shortcut else 1.0)

    def linear(self, y: Tensor) -> Tensor:
        """The shortcut alone: (B, M, h, w) -> (B, 3, 16h, 16w), float32, around 0."""
        with torch.autocast(y.device.type, enabled=False):
            samples = F.conv2d(y.float(), self.shortcut.float().flatten(1).T[:, :, None, None])
            blocks = F.pixel_shuffle(samples, BLOCK)
            return blocks if self.lapping is None else lap(blocks, self.lapping)

    def forward(self, y: Tensor, level: Tensor) -> Tensor:
        """y (B, M, h, w) float32, level (B,) -> picture (B, 3, 16h, 16w) float32, not clamped."""
        basis = level_basis(level)
        h = y / self.deviation[:, None, None]
        h = self.head(h.contiguous(memory_format=torch.channels_last))
        for block in self.blocks_deep:
            h = block(h, basis)
        h = F.pixel_shuffle(self.up(h), 2)
        for block in self.blocks_wide:
            h = block(h, basis)
        picture = F.pixel_shuffle(self.tail(h), 8).float()
        picture = self.linear(y) + picture if self.has_shortcut else picture
        if self.restoration is not None:
            picture = self.restoration(picture, basis, h)
        return picture + 0.5
