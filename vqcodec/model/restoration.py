"""Restoration: the last stage of g_s, small filters whose strength is chosen for every pixel.

    u = picture in opponent colour
    m = network(differences of neighbouring pixels in u, u, last features of g_s)    at half the resolution
    u + sum over k of gate_k(m) * (u filtered by kernel k) + draw(m)                 kernels sum to zero

It removes the ripples of quantised coefficients, as loop filters do (cf. CDEF and ALF), but nothing is
transmitted for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from vqcodec.model.blocks import LevelModulation, opponent_colour
from vqcodec.model.rounding import RoundedConv
from vqcodec.tiling import at, windows

ZERO_INIT = ("gates", "draw", "guide", "see")
"""Residual layers, initialised to zero so that the module starts as the identity."""
CELL = 2
"""Side of the cells that the network works on; each pixel of a cell has gates of its own."""
KERNEL = 5
"""Side of the kernels."""
GUIDE_CELLS = 8 // CELL
"""Cells along one side of a position of the guide."""
STRIP = 256
"""Rows that are restored at once where there are no gradients, to save memory."""
GUIDE_STRIDE = CELL * GUIDE_CELLS
"""Rows of the picture per row of the guide. Strips begin at multiples of it and have one such row as halo:
the receptive field reaches 6 rows up and down."""
QUIET = 1 / 512
"""Added to differences before the logarithm: half a step of 8-bit pixels."""
MEAN_LOG = -3.5
"""Typical logarithm of a difference, subtracted."""


def start_kernels(count: int) -> Tensor:
    """Kernels (count, 5, 5): means of discs, lines and slanted smears around the middle."""
    # On the CPU even under device "meta", see `vqcodec.model.vqvae.Transforms`.
    reach = torch.arange(KERNEL, device="cpu") - KERNEL // 2
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    square = x.abs().maximum(y.abs())
    shapes = [square <= 1, square <= KERNEL, y == 0, x == 0, x == y, x == -y]
    kernels = [shape.float() for shape in shapes]
    for number in range(len(kernels), count):
        angle = math.pi * number / 7
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        kernels.append(torch.exp(-(along**2) / 6 - across**2 / 0.7))
    return torch.stack([kernel / kernel.sum() for kernel in kernels[:count]])


def _without_draws(inputs: int, outputs: int, signed: bool = False) -> RoundedConv:
    """A 1x1 convolution that takes no random numbers from the layers after it: it starts at zero."""
    with torch.random.fork_rng(devices=[]):
        return RoundedConv(inputs, outputs, 1, signed)


class Restoration(nn.Module):
    """Starts as the identity."""

    def __init__(self, features: int, kernels: int, guide: int, tunes: int = 1) -> None:
        """A network of `features` channels, `kernels` filters for each of the three opponent colours, and a
        guide of `guide` channels at an eighth of the picture's resolution.
        """
        super().__init__()
        self.colour: Tensor
        self.register_buffer("colour", opponent_colour()[:, :, None, None], persistent=False)
        self.kernels = nn.Parameter(start_kernels(kernels).repeat(3, 1, 1)[:, None])
        self.look = nn.Conv2d(9, features, 3, padding=1)
        # What the picture does not show: how coarse the latent is, and where in a block a pixel lies.
        self.guide = _without_draws(guide, features * GUIDE_CELLS**2, signed=True)
        self.see = skip_init(nn.Conv2d, 3 * CELL**2, features, 3, padding=1, bias=False)
        self.draw = _without_draws(features, 3 * CELL**2)
        self.modulation = LevelModulation(features, tunes)
        self.mix = RoundedConv(features, features, 3)
        self.gates = RoundedConv(features, 3 * kernels * CELL**2, 1)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith(ZERO_INIT):
                    parameter.zero_()

    def _differences(self, u: Tensor) -> Tensor:
        """Log mean absolute differences (B, 9, H/2, W/2) of neighbours: across, down, and of these two."""
        across = (F.pad(u, (0, 1, 0, 0), mode="replicate")[..., 1:] - u).abs()
        down = (F.pad(u, (0, 0, 0, 1), mode="replicate")[:, :, 1:] - u).abs()
        cells = F.avg_pool2d(torch.cat([across, down, (across - down).abs()], 1), CELL)
        return torch.log(cells + QUIET) - MEAN_LOG

    def _parts(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each kernel: weight and bias of its gates, and the kernel as a filter of cells (12, 12, 3, 3).

        Cells have 12 channels, 4 pixels of one colour after the other. A zero-sum kernel is a 3x3 convolution
        of cells, from each colour to itself.
        """
        middle = KERNEL // 2
        kernels = self.kernels.clone()
        kernels[:, :, middle, middle] -= self.kernels.sum((2, 3))
        kernels = kernels.unflatten(0, (3, -1))
        places = [divmod(place, CELL) for place in range(CELL**2)]
        shifted = [F.pad(kernels, (x, CELL - 1 - x, y, CELL - 1 - y)) for y, x in places]
        cells = F.pixel_unshuffle(torch.stack(shifted, 2), CELL)
        same = torch.eye(3, device=cells.device)
        cells = torch.einsum("ckoiyx,cd->kcodiyx", cells, same).flatten(3, 4).flatten(1, 2)
        weight = self.gates.weight_on_grid().unflatten(0, (3, -1, CELL**2))
        bias = self.gates.get_parameter("bias").unflatten(0, (3, -1, CELL**2))
        for k, cell in enumerate(cells):
            yield weight[:, k].flatten(0, 1), bias[:, k].flatten(), cell

    def forward(self, picture: Tensor, basis: Tensor, guide: Tensor) -> Tensor:
        """Restore a picture.

        Args:
            picture: (B, 3, H, W) around 0, sides multiples of 8.
            basis, guide: (B, knots) and (B, C, H/8, W/8).

        Returns:
            (B, 3, H, W) float32. Under autocast only the network and its gates run in low precision: they
            scale filters with small outputs.
        """
        rows, columns = (side // GUIDE_STRIDE for side in picture.shape[2:])
        if torch.is_grad_enabled() or picture.shape[2] <= STRIP:
            return self._restored(picture, basis, guide)
        result = torch.empty_like(picture, dtype=torch.float32)
        for strip in windows((rows, columns), (STRIP // GUIDE_STRIDE, columns), halo=1):
            pixels = strip.scaled(GUIDE_STRIDE)
            part = self._restored(picture[at(pixels.outer)], basis, guide[at(strip.outer)])
            result[at(pixels.inner)] = pixels.crop(part)
        return result

    def _restored(self, picture: Tensor, basis: Tensor, guide: Tensor) -> Tensor:
        precise = torch.autocast(picture.device.type, enabled=False)
        with precise:
            u = F.conv2d(picture.float(), self.colour)
            differences = self._differences(u)
            around = F.pixel_unshuffle(F.pad(u, (KERNEL // 2,) * 4, mode="replicate"), CELL)
            around = around.contiguous(memory_format=torch.channels_last)
        h = self.look(differences.contiguous(memory_format=torch.channels_last))
        cells = F.pixel_unshuffle(u, CELL).contiguous(memory_format=torch.channels_last)
        # In place: for a large window each of these takes as much memory as the rest of g_s.
        h.add_(self.see(cells)).add_(F.pixel_shuffle(self.guide(guide), GUIDE_CELLS))
        h = F.relu(self.modulation(h, basis))
        h = self.gates.on_grid(F.relu(self.mix(h)))
        with precise:
            parts = list(self._parts())
        # One kernel after the other, unless there are gradients: all gates of a large window would take
        # hundreds of megabytes.
        size = len(parts) if torch.is_grad_enabled() else 1
        change = self.draw(h).permute(0, 2, 3, 1).float()
        for first in range(0, len(parts), size):
            weight, bias, cells = (torch.cat(same) for same in zip(*parts[first : first + size], strict=True))
            gates = F.conv2d(h, weight, bias)
            with precise:
                answers = F.conv2d(around, cells)
                # Channels last, as they lie in memory: gradients are three times as fast.
                gates, answers = (a.permute(0, 2, 3, 1).unflatten(3, (size, -1)) for a in (gates, answers))
                change = change + (gates * answers).sum(3)
        with precise:
            change = F.pixel_shuffle(change.permute(0, 3, 1, 2), CELL)
            return picture.float() + F.conv_transpose2d(change, self.colour)
