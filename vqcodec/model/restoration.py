"""Restoration: the last stage of g_s, small filters whose strength every pixel chooses by what surrounds it.

    u = picture in opponent colour
    g = gates(differences of neighbouring pixels in u)        a network at half the resolution
    u + sum over k of g_k * (u filtered by kernel k)          kernels sum to zero

The transforms work on blocks of 8 and 16 pixels, and leave each quantised coefficient's ripple all over its
block. Here flat places are smoothed beside edges that are left alone, as loop filters do in other codecs (cf.
CDEF and ALF), but with nothing to transmit. Its work is small: 5.5 kMAC/px.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqcodec.model.blocks import LevelModulation, opponent_colour

CELL = 2
"""Side of the cells at which gates are looked for; each of their pixels has gates of its own."""
SIDE = 5
"""Side of the kernels."""
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

    def __init__(self, features: int, kernels: int) -> None:
        super().__init__()
        self.colour: Tensor
        self.register_buffer("colour", opponent_colour()[:, :, None, None], persistent=False)
        self.kernels = nn.Parameter(start_kernels(kernels).repeat(3, 1, 1)[:, None])
        self.look = nn.Conv2d(9, features, 3, padding=1)
        self.modulation = LevelModulation(features)
        self.mix = nn.Conv2d(features, features, 3, padding=1)
        self.gates = nn.Conv2d(features, 3 * kernels * CELL**2, 1)
        with torch.no_grad():
            self.gates.weight.zero_()
            self.gates.get_parameter("bias").zero_()

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

    def forward(self, picture: Tensor, basis: Tensor) -> Tensor:
        """picture (B, 3, H, W) around 0, even sides, basis (B, LEVEL_KNOTS) -> the same, float32."""
        with torch.autocast(picture.device.type, enabled=False):
            picture = picture.float()
            u = F.conv2d(picture, self.colour)
            h = F.relu(self.modulation(self.look(self._differences(u)), basis))
            h = F.relu(self.mix(h))
            around = F.pixel_unshuffle(F.pad(u, (SIDE // 2,) * 4, mode="replicate"), CELL)
            around = around.contiguous(memory_format=torch.channels_last)
            change = u.new_zeros(())
            # One kernel after the other: all gates of a large window would take hundreds of megabytes. All at
            # half the resolution: 5x5 filters of single planes took a fifth more time, in training a quarter.
            for weight, bias, cells in self._parts():
                change = change + F.conv2d(h, weight, bias) * F.conv2d(around, cells)
            change = F.pixel_shuffle(change, CELL)
            return picture + F.conv_transpose2d(change, self.colour)
