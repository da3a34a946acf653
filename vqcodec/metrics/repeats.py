"""How far errors repeat from block to block: the weave of decoders that invent texture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PATTERNS = ((16, 8), (8, 8), (8, 16))
"""Patterns that are looked for: the side of their cells in pixels, and of windows in cells."""
LARGEST = max(cell for cell, _ in PATTERNS)
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
    tall, wide = (side // LARGEST * LARGEST for side in difference.shape[2:])
    difference = difference[..., :tall, :wide].float()
    energy = reference[..., :tall, :wide].float().square().mean(1, keepdim=True)
    found = []
    for cell, most in PATTERNS:
        cells = F.pixel_unshuffle(difference, cell)
        sides = [min(most, side) for side in cells.shape[2:]]
        steps = [max(side // 2, 1) for side in sides]
        mean = F.avg_pool2d(cells, sides, steps).unflatten(1, (3, -1))
        repeating = (mean - mean.mean(2, keepdim=True)).square().mean((1, 2))
        window, step = ([cell * n for n in part] for part in (sides, steps))
        usual = F.avg_pool2d(energy, window, step)[:, 0] + QUIET
        found.append(sides[0] * sides[1] * (repeating / usual).mean((1, 2)))
    return torch.stack(found).mean(0)
