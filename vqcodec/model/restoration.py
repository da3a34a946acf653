"""Restoration: the last stage of g_s, small filters whose strength every pixel chooses by what surrounds it.

    u = picture in opponent colour
    m = network(differences of neighbouring pixels in u)           at half the resolution
    u + sum over k of gate_k(m) * (u filtered by kernel k)         kernels sum to zero

With a guide the network also sees u itself and what g_s's networks end with, and its answer m is drawn too:
draw(m) is added.

The transforms work on blocks of 8 and 16 pixels, and leave each quantised coefficient's ripple all over its
block. Here flat places are smoothed beside edges that are left alone, as loop filters do in other codecs (cf.
CDEF and ALF), but with nothing to transmit. Its work is small: 6.6 kMAC/px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from vqcodec.model.blocks import LevelModulation, opponent_colour
from vqcodec.tiling import at, windows

SAYS_NOTHING_AT_ZERO = ("gates", "draw", "guide", "see")
"""Layers that add to what there is: without weights they change nothing."""
CELL = 2
"""Side of the cells at which gates are looked for; each of their pixels has gates of its own."""
SIDE = 5
"""Side of the kernels."""
GUIDE_CELLS = 8 // CELL
"""Cells along one side of a place of the guide."""
STRIP = 256
"""Rows that are restored at once where there are no gradients: a window of 1664 pixels in one piece took half
of all the memory that decoding takes."""
BLOCK = CELL * GUIDE_CELLS
"""Rows of the picture that one row of the guide is for; strips begin there, and see one of them further: what
a pixel becomes depends on the 6 rows above and below at most."""
QUIET = 1 / 512
"""Added to differences before the logarithm: half a step of 8 bits."""
USUAL = -3.5
"""Logarithm of a usual difference."""


def start_kernels(count: int) -> Tensor:
    """Kernels (count, SIDE, SIDE): means of discs, lines and slanted smears around the middle."""
    # On the CPU even under device "meta", see `vqcodec.model.vqvae.Transforms`.
    reach = torch.arange(SIDE, device="cpu") - SIDE // 2
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    square = x.abs().maximum(y.abs())
    shapes = [square <= 1, square <= SIDE, y == 0, x == 0, x == y, x == -y]
    found = [shape.float() for shape in shapes]
    for number in range(len(found), count):
        angle = math.pi * number / 7
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        found.append(torch.exp(-(along**2) / 6 - across**2 / 0.7))
    return torch.stack([kernel / kernel.sum() for kernel in found[:count]])


class Restoration(nn.Module):
    """Starts as the identity."""

    def __init__(self, features: int, kernels: int, guide: int = 0) -> None:
        """guide: channels of the guide, at an eighth of the resolution; without any there is none."""
        super().__init__()
        self.colour: Tensor
        self.register_buffer("colour", opponent_colour()[:, :, None, None], persistent=False)
        self.kernels = nn.Parameter(start_kernels(kernels).repeat(3, 1, 1)[:, None])
        self.look = nn.Conv2d(9, features, 3, padding=1)
        self.guided = guide > 0
        if self.guided:
            # What the picture does not show: how coarse the latent is, and where in a block a pixel lies.
            self.guide = skip_init(nn.Conv2d, guide, features * GUIDE_CELLS**2, 1)
            self.see = skip_init(nn.Conv2d, 3 * CELL**2, features, 3, padding=1, bias=False)
            self.draw = skip_init(nn.Conv2d, features, 3 * CELL**2, 1)
        self.modulation = LevelModulation(features)
        self.mix = nn.Conv2d(features, features, 3, padding=1)
        self.gates = nn.Conv2d(features, 3 * kernels * CELL**2, 1)
        with torch.no_grad():
            self.gates.weight.zero_()
            self.gates.get_parameter("bias").zero_()
            for layer in (self.guide, self.see, self.draw) if self.guided else ():
                for parameter in layer.parameters():
                    parameter.zero_()

    def _differences(self, u: Tensor) -> Tensor:
        """Logarithms (B, 9, H/2, W/2) of how much neighbours differ, across, down, and either alone."""
        across = (F.pad(u, (0, 1, 0, 0), mode="replicate")[..., 1:] - u).abs()
        down = (F.pad(u, (0, 0, 0, 1), mode="replicate")[:, :, 1:] - u).abs()
        cells = F.avg_pool2d(torch.cat([across, down, (across - down).abs()], 1), CELL)
        return torch.log(cells + QUIET) - USUAL

    def _parts(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each kernel: weight and bias of its gates, and itself as a filter of cells (12, 12, 3, 3).

        Cells have 12 channels, 4 pixels of one colour after the other. A kernel less its sum is a 3x3
        convolution of them, from each colour to the same colour.
        """
        middle = SIDE // 2
        kernels = self.kernels.clone()
        kernels[:, :, middle, middle] -= self.kernels.sum((2, 3))
        kernels = kernels.unflatten(0, (3, -1))
        places = [divmod(place, CELL) for place in range(CELL**2)]
        shifted = [F.pad(kernels, (x, CELL - 1 - x, y, CELL - 1 - y)) for y, x in places]
        cells = F.pixel_unshuffle(torch.stack(shifted, 2), CELL)
        same = torch.eye(3, device=cells.device)
        cells = torch.einsum("ckoiyx,cd->kcodiyx", cells, same).flatten(3, 4).flatten(1, 2)
        weight = self.gates.weight.unflatten(0, (3, -1, CELL**2))
        bias = self.gates.get_parameter("bias").unflatten(0, (3, -1, CELL**2))
        for k, cell in enumerate(cells):
            yield weight[:, k].flatten(0, 1), bias[:, k].flatten(), cell

    def forward(self, picture: Tensor, basis: Tensor, guide: Tensor | None = None) -> Tensor:
        """Restore a picture.

        Args:
            picture: (B, 3, H, W) around 0, sides multiples of 2, with a guide of 8.
            basis: (B, LEVEL_KNOTS).
            guide: (B, C, H/8, W/8), looked at if this has been made for one.

        Returns:
            (B, 3, H, W) float32. Under autocast the gates alone are computed in low precision: they choose
            between filters whose answers are small.
        """
        height, width = picture.shape[2:]
        if torch.is_grad_enabled() or height <= STRIP:
            return self._restored(picture, basis, guide)
        result = torch.empty_like(picture, dtype=torch.float32)
        shape = -(-height // BLOCK), -(-width // BLOCK)
        for strip in windows(shape, (STRIP // BLOCK, shape[1]), halo=1):
            pixels = strip.scaled(BLOCK)
            above = None if guide is None else guide[at(strip.outer)]
            part = self._restored(picture[at(pixels.outer)], basis, above)
            result[at(pixels.inner)] = pixels.crop(part)
        return result

    def _restored(self, picture: Tensor, basis: Tensor, guide: Tensor | None) -> Tensor:
        precise = torch.autocast(picture.device.type, enabled=False)
        with precise:
            u = F.conv2d(picture.float(), self.colour)
            differences = self._differences(u)
            around = F.pixel_unshuffle(F.pad(u, (SIDE // 2,) * 4, mode="replicate"), CELL)
            around = around.contiguous(memory_format=torch.channels_last)
        h = self.look(differences.contiguous(memory_format=torch.channels_last))
        if self.guided:
            cells = F.pixel_unshuffle(u, CELL).contiguous(memory_format=torch.channels_last)
            # In place: of a large window each of these takes as much memory as all that g_s has before it.
            h.add_(self.see(cells)).add_(F.pixel_shuffle(self.guide(guide), GUIDE_CELLS))
        h = F.relu(self.modulation(h, basis))
        h = F.relu(self.mix(h))
        with precise:
            parts = list(self._parts())
        # One kernel after the other, unless there are gradients: all gates of a large window would take
        # hundreds of megabytes. At half the resolution: 5x5 filters of single planes took a fifth more time.
        size = len(parts) if torch.is_grad_enabled() else 1
        change = self.draw(h).permute(0, 2, 3, 1).float() if self.guided else u.new_zeros(())
        for first in range(0, len(parts), size):
            weight, bias, cells = (torch.cat(same) for same in zip(*parts[first : first + size], strict=True))
            gates = F.conv2d(h, weight, bias)
            with precise:
                answers = F.conv2d(around, cells)
                # Channels last, as they lie in memory: the other way gradients took three times as long.
                gates, answers = (a.permute(0, 2, 3, 1).unflatten(3, (size, -1)) for a in (gates, answers))
                change = change + (gates * answers).sum(3)
        with precise:
            change = F.pixel_shuffle(change.permute(0, 3, 1, 2), CELL)
            return picture.float() + F.conv_transpose2d(change, self.colour)
