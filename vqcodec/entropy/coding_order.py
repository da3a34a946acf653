"""The order in which the positions of a latent are coded.

Four phases, (0,0), (1,1), (0,1), (1,0) of every 2x2 block, one after the other, and the first of them whole
or in four passes of its own: the same order again on every second of its rows and columns, so that where
the picture is smooth a position is told by its neighbours, and not by the hyper-latent alone.
"""

from __future__ import annotations

from types import EllipsisType
from typing import NamedTuple

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
        down, right = max(rows - self.row, 0), max(columns - self.column, 0)
        return -(-down // self.stride), -(-right // self.stride)


def whole(passes: tuple[Pass, ...], rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of the smallest latent that holds so many and is cut evenly by all passes."""
    unit = passes[0].stride
    return -(-rows // unit) * unit, -(-columns // unit) * unit


def order(first: int) -> tuple[Pass, ...]:
    """The passes when the first phase takes `first` of them.

    Raises:
        ValueError: `first` is neither 1 nor 4.
    """
    if first not in (1, len(PHASES)):
        raise ValueError("the first phase takes one pass or four")
    later = [Pass(i, j, 2, 1, maps) for maps, (i, j) in enumerate(PHASES) if maps]
    if first == 1:
        return (Pass(0, 0, 2, 0, 0), *later)
    return (*(Pass(2 * i, 2 * j, 4, 0, min(n, 1)) for n, (i, j) in enumerate(PHASES)), *later)
