"""Start of the prior's linear interpolation from decoded neighbours, for the strongest channels."""

from __future__ import annotations

import torch
from torch import Tensor

from vqcodec.entropy.coding_order import Pass

LINEAR_CHANNELS = 24
DC_CHANNELS = (0, 1, 7)
"""Channels that hold the means of the three opponent colours, in the energy order of `dct_filters`."""

# Decoded neighbours of a pass on the half-size grid: number of maps -> [(phase, row, column)], row and column
# relative to the centre of a 3x3 window.
_NEIGHBOURS: dict[int, list[tuple[int, int, int]]] = {
    1: [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)],
    2: [(0, 0, 0), (0, 0, 1), (1, -1, 0), (1, 0, 0)],
    3: [(0, 0, 0), (0, 1, 0), (1, 0, -1), (1, 0, 0)],
}


def start_interpolation(place: Pass, channels: int) -> Tensor:
    """Start of the linear interpolation of a pass: the mean of the neighbours for the DC channels."""
    weight = torch.zeros(min(channels, LINEAR_CHANNELS), place.maps, 3, 3)
    dc = [c for c in DC_CHANNELS if c < channels]
    neighbours = _NEIGHBOURS[place.maps]
    if place.layer == 0:
        # On the grid of the first phase itself: the corners, or the sides.
        sides = [(0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
        neighbours = [(0, a, b) for a in (-1, 1) for b in (-1, 1)] if place.row == place.column else sides
    for phase, row, column in neighbours:
        weight[dc, phase, 1 + row, 1 + column] = 0.22
    return weight
