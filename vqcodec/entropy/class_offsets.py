"""What a tile says about its groups before they are coded: by how much the prior's context classes are off.

The prior is trained on many pictures; in this one a channel may be livelier or calmer throughout than it
thinks. So a tile may move the classes of a group, at all its positions, by a small step of each context
number. A band whose groups all stay where they are says so in one bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter, TableSet
from vqcodec.entropy.tables import TOTAL, TOTAL_BITS

REACH = (3, 1)
"""Largest step of the first and of the second context number that an export writes a table for."""
DECAY = (0.5, 0.35)
"""How much rarer a step is than the next smaller one."""


def shift_counts(levels: tuple[int, ...]) -> np.ndarray:
    """Counts int32 of all shifts of `levels` context numbers; their sum is 2**24. Used at export only."""
    shares = np.ones(())
    for number in range(len(levels)):
        reach, decay = (REACH[number], DECAY[number]) if number < len(REACH) else (0, 0.0)
        shares = np.multiply.outer(shares, decay ** np.abs(np.arange(-reach, reach + 1)))
    counts = np.floor(shares / shares.sum() * TOTAL).astype(np.int64)
    counts[tuple(n // 2 for n in counts.shape)] += TOTAL - counts.sum()
    return counts.astype(np.int32)


class Shifts:
    """The shifts that a model knows, numbered row by row of their table; the middle one moves nothing.

    Attributes:
        table: counts of all shifts, one table.
        shape: how many steps each context number may take.
        still: the number of the shift that moves nothing.
        moved: (shifts, classes) int64, the class that each becomes.
    """

    def __init__(self, counts: np.ndarray, levels: tuple[int, ...]) -> None:
        """counts: int32, of odd shape, with an axis for each context number.

        Raises:
            ValueError: its shape is another, or it is no table.
        """
        if counts.ndim != len(levels) or any(n % 2 == 0 for n in counts.shape):
            raise ValueError("the table of shifts does not fit the context classes")
        self.table = TableSet(counts.reshape(1, -1))
        self.shape: tuple[int, ...] = counts.shape
        self.still = counts.size // 2
        numbers = np.indices(levels).reshape(len(levels), 1, -1)
        steps = np.indices(counts.shape).reshape(len(levels), -1, 1)
        middle = np.array(counts.shape)[:, None, None] // 2
        top = np.array(levels)[:, None, None] - 1
        self.moved = np.ravel_multi_index(tuple(np.clip(numbers + steps - middle, 0, top)), levels)
        self._flag = TableSet(np.full((1, 2), TOTAL // 2, dtype=np.int32))

    def write(self, writer: SegmentWriter, shifts: Sequence[np.ndarray]) -> None:
        """Append the shift (G,) of each group, band by band."""
        for numbers in shifts:
            moves = bool((numbers != self.still).any())
            writer.write(np.array([moves]), np.zeros(1, np.int64), self._flag)
            if moves:
                writer.write(numbers, np.zeros(len(numbers), np.int64), self.table)

    def read(self, reader: SegmentReader, groups: Sequence[int]) -> list[np.ndarray]:
        """The shift (G,) int64 of each group of bands of so many groups.

        Raises:
            CorruptData: the words do not decode.
        """
        shifts = []
        for count in groups:
            if reader.read(np.zeros(1, np.int64), self._flag)[0]:
                shifts.append(reader.read(np.zeros(count, np.int64), self.table))
            else:
                shifts.append(np.full(count, self.still))
        return shifts

    def bits(self, numbers: np.ndarray) -> np.ndarray:
        """What the shifts (G,) of a band take in the file, by group: its own, and its part of the one bit."""
        flag = np.full(len(numbers), 1 / len(numbers))
        if (numbers == self.still).all():
            return flag
        return flag + TOTAL_BITS - np.log2(self.table.counts[0, numbers])

    def move(self, classes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """The classes (h, w, G) that groups have after their shifts (G,)."""
        if (shifts == self.still).all():
            return classes
        return self.moved[shifts, classes]
