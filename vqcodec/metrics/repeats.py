"""How far errors repeat from block to block: the weave of decoders that invent texture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PATTERNS = ((16, 8), (8, 8), (8, 16))
"""Patterns that are looked for: the side of their cells in pixels, and of windows in cells."""
_LARGEST = max(cell for cell, _ in PATTERNS)
QUIET = (0.5 / 255) ** 2
"""Squared error below which a window's is taken for nothing."""


def repeating_error(difference: Tensor, reference: Tensor) -> Tensor:
    """How far differences d (B, 3, H, W) from the original repeat, (B,); 1 for noise as strong as d_f.

        mean over PATTERNS and windows of  n mean of (m - its mean over places)^2 / (mean of d_f^2 + QUIET)

    m is the mean of the n cells of a window, d_f the differences of a reference, the fidelity decoder's or d
    itself. A decoder that invents texture tends to draw one pattern in every block: that shows far more than
    it adds to the squared error, and most where little else is, hence the ratio for each window. Of errors
    that do not repeat the mean cell keeps 1 / n. Own measure, without a source in the literature.

    Args:
        difference, reference: H and W at least 16; what lies beyond multiples of 16 is left out.
    """
    energy = _whole(reference).square().mean(1, keepdim=True)
    found = []
    for cell, most in PATTERNS:
        mean, count, sides = _mean_cells(_whole(difference), cell, most)
        repeating = (mean - mean.mean(2, keepdim=True)).square().mean((1, 2))
        window, step = ([cell * n for n in part] for part in sides)
        usual = F.avg_pool2d(energy, window, step)[:, 0] + QUIET
        found.append(count * (repeating / usual).mean((1, 2)))
    return torch.stack(found).mean(0)


def mesh(texture: Tensor) -> Tensor:
    """How far a texture t (B, 3, H, W) is stronger at some places within a block, (B,); 1 for noise.

        mean over PATTERNS and windows of  n variance over places of e / (variance of t^2 + QUIET^2)

    e is the mean of t^2 over the n cells of a window, at each place. A pattern that is drawn in every block,
    but with either sign, repeats in strength alone. Own measure.

    Args:
        texture: what one decoding has and another has not; H and W as of `repeating_error`.
    """
    energy = _whole(texture).square()
    found = []
    for cell, most in PATTERNS:
        mean, count, _ = _mean_cells(energy, cell, most)
        second, _, _ = _mean_cells(energy.detach().square(), cell, most)
        middle = mean.mean(2, keepdim=True)
        spread = (second.mean(2, keepdim=True) - middle.detach().square()).clamp_min(0) + QUIET**2
        found.append(count * ((mean - middle).square() / spread).mean((1, 2, 3, 4)))
    return torch.stack(found).mean(0)


def _whole(maps: Tensor) -> Tensor:
    """Without what lies beyond multiples of the largest cell."""
    tall, wide = (side // _LARGEST * _LARGEST for side in maps.shape[2:])
    return maps[..., :tall, :wide].float()


def _mean_cells(maps: Tensor, cell: int, most: int) -> tuple[Tensor, int, tuple[list[int], list[int]]]:
    """Mean cells (B, 3, places, rows, columns) of windows, how many cells one has, and sides and steps."""
    cells = F.pixel_unshuffle(maps, cell)
    sides = [min(most, side) for side in cells.shape[2:]]
    steps = [max(side // 2, 1) for side in sides]
    mean = F.avg_pool2d(cells, sides, steps).unflatten(1, (maps.shape[1], -1))
    return mean, sides[0] * sides[1], (sides, steps)
