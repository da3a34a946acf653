"""Class offsets: per-tile side information that adapts the prior's context classes to the picture.

A tile may move the classes of a group, at all its positions, by a small step of each context number. A band
none of whose groups moves says so in one bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.table_set import TableSet
from vqcodec.entropy.tables import TOTAL, TOTAL_BITS

REACH = (3, 1)
"""Largest step of the first and of the second context number that an export writes a table for."""
DECAY = (0.5, 0.35)
"""How much rarer a step is than the next smaller one."""


def offset_counts(bins: tuple[int, ...]) -> np.ndarray:
    """Counts int32 of all offsets of context numbers with so many bins, an axis each; their sum is 2**24.

    Used at export only.
    """
    shares = np.ones(())
    for number in range(len(bins)):
        reach, decay = (REACH[number], DECAY[number]) if number < len(REACH) else (0, 0.0)
        shares = np.multiply.outer(shares, decay ** np.abs(np.arange(-reach, reach + 1)))
    counts = np.floor(shares / shares.sum() * TOTAL).astype(np.int64)
    counts[tuple(n // 2 for n in counts.shape)] += TOTAL - counts.sum()
    return counts.astype(np.int32)


class ClassOffsets:
    """The offsets that a model knows, numbered row by row of their table.

    Attributes:
        table: counts of all offsets, one table.
        shape: how many steps each context number may take.
        zero: the number of the offset that moves nothing, in the middle.
        moved: (offsets, classes) int32, the class that each class becomes.
    """

    def __init__(self, counts: np.ndarray, bins: tuple[int, ...]) -> None:
        """counts: int32, of odd shape, with an axis for each context number; bins: of each of them.

        Raises:
            ValueError: its shape is another, or it is no table.
        """
        if counts.ndim != len(bins) or any(n % 2 == 0 for n in counts.shape):
            raise ValueError("the table of class offsets does not fit the context classes")
        self.table = TableSet(counts.reshape(1, -1))
        self.shape: tuple[int, ...] = counts.shape
        self.zero = counts.size // 2
        numbers = np.indices(bins).reshape(len(bins), 1, -1)
        steps = np.indices(counts.shape).reshape(len(bins), -1, 1)
        middle = np.array(counts.shape)[:, None, None] // 2
        top = np.array(bins)[:, None, None] - 1
        moved = np.ravel_multi_index(tuple(np.clip(numbers + steps - middle, 0, top)), bins)
        self.moved = moved.astype(np.int32)
        self._flag = TableSet(np.full((1, 2), TOTAL // 2, dtype=np.int32))

    def write(self, writer: SegmentWriter, offsets: Sequence[np.ndarray]) -> None:
        """Append the offset (G,) of each group, band by band."""
        for numbers in offsets:
            moves = bool((numbers != self.zero).any())
            writer.write(np.array([moves]), np.zeros(1, np.int64), self._flag)
            if moves:
                writer.write(numbers, np.zeros(len(numbers), np.int64), self.table)

    def read(self, reader: SegmentReader, groups: Sequence[int]) -> list[np.ndarray]:
        """The offset (G,) int64 of each group of bands of so many groups.

        Raises:
            CorruptData: the coder words do not decode.
        """
        offsets = []
        for count in groups:
            if reader.read(np.zeros(1, np.int64), self._flag)[0]:
                offsets.append(reader.read(np.zeros(count, np.int64), self.table))
            else:
                offsets.append(np.full(count, self.zero))
        return offsets

    def bits(self, numbers: np.ndarray) -> np.ndarray:
        """Bits that the offsets (G,) of a band take, by group: its own and its part of the flag."""
        flag = np.full(len(numbers), 1 / len(numbers))
        if (numbers == self.zero).all():
            return flag
        return flag + TOTAL_BITS - np.log2(self.table.counts[0, numbers])

    def moves(self, offsets: np.ndarray) -> np.ndarray:
        """The class int32 that each class of each group becomes by their offsets (G,), (G, classes)."""
        return np.take(self.moved, offsets, axis=0)
