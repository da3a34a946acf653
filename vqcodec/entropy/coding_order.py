"""The order in which a latent is coded: passes over its positions, and in each pass slices of its channels.

The positions of every 2x2 block are four phases, (0,0), (1,1), (0,1), (1,0). The first phase takes four
passes, in the same order on every second of its rows and columns; each later one is one pass, and sees the
phases before it. A slice is neighbouring bands, and sees what the slices before it decoded at the same
positions (channel-conditional context, Minnen and Singh 2020; He et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import EllipsisType
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

Array = TypeVar("Array")
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column offset of each phase in a 2x2 block."""


class Pass(NamedTuple):
    """Positions that are coded at once: every `stride`-th row and column from `row` and `column` on.

    Attributes:
        layer: of the file: 0 for the first phase, 1 for the others.
        maps: phases that the prior looks at, the last of them only in part while the first phase is coded.
    """

    row: int
    column: int
    stride: int
    layer: int
    maps: int

    @property
    def phase(self) -> int:
        """Number of the phase that it belongs to."""
        return self.maps if self.layer else 0

    @property
    def places(self) -> tuple[slice, slice]:
        """Its rows and columns of a latent (h, w, M)."""
        return slice(self.row, None, self.stride), slice(self.column, None, self.stride)

    @property
    def last(self) -> tuple[EllipsisType, slice, slice]:
        """The same of a latent (..., h, w)."""
        return (Ellipsis, *self.places)

    @property
    def corner(self) -> tuple[int, int] | None:
        """Its first row and column on the grid of a phase, of which it has every second; None for all."""
        return None if self.stride == 2 else (self.row // 2, self.column // 2)

    def sides(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of a latent of so many that are its own."""
        return len(range(self.row, rows, self.stride)), len(range(self.column, columns, self.stride))


PASSES = (
    *(Pass(2 * i, 2 * j, 4, 0, min(n, 1)) for n, (i, j) in enumerate(PHASES)),
    *(Pass(i, j, 2, 1, maps) for maps, (i, j) in enumerate(PHASES) if maps),
)
"""All passes, in their order."""


def whole(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of the smallest latent that holds so many and is cut evenly by all passes."""
    unit = PASSES[0].stride
    return -(-rows // unit) * unit, -(-columns // unit) * unit


@dataclass(frozen=True)
class Slice:
    """Some neighbouring bands, and the channels and groups that these are."""

    bands: slice
    channels: slice
    groups: slice

    @property
    def width(self) -> int:
        """Number of its channels."""
        return int(self.channels.stop - self.channels.start)

    def rows(self, channels: int, groups: int, numbers: int) -> np.ndarray:
        """Which outputs of a prior's last layer, first the means of all channels, are of this slice.

        Args:
            channels, groups: of all bands.
            numbers: context numbers of each group; the first ones of all groups come first.
        """
        every = np.arange(groups * numbers).reshape(numbers, groups)
        return np.r_[self.channels, channels + every[:, self.groups].ravel()]


@dataclass
class PassState(Generic[Array]):
    """The state of a pass between slices: tensors (B, C, h, w), or integer arrays (h, w, C).

    Attributes:
        place: the pass.
        hidden: hidden units that all predictions are made from.
        local: linear mean of the strongest channels; None in the first pass.
        known: decoded residuals y_hat - mean of the slices so far.
        companded: those of them that the next slices look at, companded.
        unsettled: of `NativePrior`, what `settle` was told, until the next slice is predicted.
    """

    place: Pass
    hidden: Array
    local: Array | None
    known: list[Array] = field(default_factory=list)
    companded: list[Array] = field(default_factory=list)
    unsettled: tuple[Any, ...] | None = None


def cut_slices(bands: Sequence[tuple[int, int]], starts: Sequence[int]) -> list[Slice]:
    """Slices of bands, given as (channels, groups), of which a new one begins at the bands of these numbers.

    Raises:
        ValueError: the numbers do not rise, or are not those of bands behind the first one.
    """
    ends = [0, *starts, len(bands)]
    if any(b <= a for a, b in pairwise(ends)):
        raise ValueError("slices begin at rising numbers of bands behind the first one")
    slices, channel, group = [], 0, 0
    for first, last in pairwise(ends):
        channels, groups = (sum(band[n] for band in bands[first:last]) for n in range(2))
        own = slice(channel, channel + channels), slice(group, group + groups)
        slices.append(Slice(slice(first, last), *own))
        channel, group = channel + channels, group + groups
    return slices
