"""The encoder's greedy choices: the codeword of least cost at each position, and class offsets.

In C where the engine was built, else in numpy; both choose alike, for the arithmetic is the same: float32
with every operation rounded for codewords, integers for class offsets.
"""

from __future__ import annotations

import numpy as np

from vqcodec.entropy.class_offsets import ClassOffsets
from vqcodec.entropy.steps import SLOPE
from vqcodec.entropy.table_set import CODE_UNITS, RowTables
from vqcodec.entropy.tables import CODE_NATS, TOTAL
from vqcodec.native.choice import entropy_extension, threads

LANES = 16
"""Codewords are padded to a multiple of this, for the vectors of a processor."""
POSITIONS_AT_ONCE = 4096
"""How many numpy looks at together, which bounds memory."""


class BandSearch:
    """argmin of w |r - c|^2 - ln p over one band's words, for all groups and positions.

    -ln p is taken from the codes of the class's table, less what all its words pay; |r|^2 is left out too.
    """

    def __init__(
        self,
        words: np.ndarray,
        tables: RowTables,
        step: float,
        slope: float = SLOPE,
        *,
        certain: bool = False,
    ) -> None:
        """words (G, K, d) in steps of `step`, tables that come from rows, slope the price w.

        certain: indices that are certain are not coded, and so no others can be chosen there.
        """
        groups, self.count, size = words.shape
        padded = -(-self.count // LANES) * LANES
        real = words.astype(np.float32) * np.float32(step)
        self.tables, self.certain = tables, certain
        self.factors = np.zeros((groups, size, padded), dtype=np.float32)
        self.factors[:, :, : self.count] = (np.float32(-2 * slope) * real).transpose(0, 2, 1)
        self.norms = np.zeros((groups, padded), dtype=np.float32)
        self.norms[:, : self.count] = np.float32(slope) * np.square(real).sum(-1)

    def __call__(self, residual: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """residual (h, w, d*G) float32 and classes (h, w, G) int32 -> indices (h, w, G) int32.

        Ties go to the lowest. Both may be a part of the channels of contiguous arrays.
        """
        index = np.empty(classes.shape, dtype=np.int32)
        native = entropy_extension()
        if native is not None:
            search = self.tables.native, self.factors, self.norms
            native.nearest(*search, residual, classes, self.certain, threads(), index)
            return index
        groups = classes.shape[2]
        vectors, numbers = residual.reshape(-1, self.factors.shape[1], groups), classes.reshape(-1, groups)
        flat = index.reshape(-1, groups)
        for start in range(0, len(numbers), POSITIONS_AT_ONCE):
            some = slice(start, start + POSITIONS_AT_ONCE)
            for group in range(groups):
                flat[some, group] = self._nearest(group, vectors[some, :, group], numbers[some, group])
        return index

    def _nearest(self, group: int, vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Indices (n,) for vectors (n, d) of these classes (n,) of a group."""
        used, place = np.unique(classes, return_inverse=True)
        codes = self.tables.codes(group * self.tables.classes + used)
        price = self.norms[group, : self.count] + np.float32(CODE_NATS) * codes.astype(np.float32)
        factors = self.factors[group, :, : self.count]
        cost = vectors[:, 0, None] * factors[0]
        for j in range(1, len(factors)):
            cost += vectors[:, j, None] * factors[j]
        cost += price[place]
        nearest = cost.argmin(-1)
        if not self.certain:
            return nearest
        only = self.tables.certain(group * self.tables.classes + used)[place]
        return np.where(only < 0, nearest, only)


class OffsetSearch:
    """Chooses class offsets by what indices, chosen before, would cost after each of them."""

    def __init__(self, offsets: ClassOffsets) -> None:
        nats = -np.log(offsets.table.counts[0] / TOTAL)
        self.own = np.rint(nats * (CODE_UNITS / CODE_NATS)).astype(np.int64)
        self.moved = np.ascontiguousarray(offsets.moved, dtype=np.int32)
        self.zero, self.shape = offsets.zero, tuple(int(n) for n in offsets.shape)

    def __call__(self, search: BandSearch, index: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """A band's index and classes (n, G) int32 -> offsets (G,) int32, all zero where moving does not pay.

        One context number after the other, by all steps of each.
        """
        tables, native = search.tables, entropy_extension()
        if native is not None:
            chosen = np.empty(index.shape[1], dtype=np.int32)
            given = tables.native, np.ascontiguousarray(index), np.ascontiguousarray(classes)
            native.offsets(*given, self.moved, self.own, self.shape, self.zero, threads(), chosen)
            return chosen
        symbols = _Symbols(tables, index, classes)
        best = np.full(index.shape[1], self.zero)
        least = self._cost(symbols, best)
        unmoved = least - self.own[self.zero]
        stride = len(self.own)
        for size in self.shape:
            stride //= size
            rest = best - best // stride % size * stride
            for step in range(size):
                numbers = rest + step * stride
                found = self._cost(symbols, numbers)
                best, least = np.where(found < least, numbers, best), np.minimum(found, least)
        if least.sum() >= unmoved.sum():
            best[:] = self.zero
        return best.astype(np.int32)

    def _cost(self, symbols: _Symbols, numbers: np.ndarray) -> np.ndarray:
        """Units (G,) of a band's symbols after these offsets (G,), and the offsets' own."""
        moved = self.moved[numbers[symbols.groups], symbols.classes]
        return symbols.cost(moved) + self.own[numbers]


class _Symbols:
    """A band's symbols, those that are alike only once: their groups, classes, indices and numbers (n,)."""

    def __init__(self, tables: RowTables, index: np.ndarray, classes: np.ndarray) -> None:
        self.tables, self.count = tables, index.shape[1]
        first = np.arange(self.count) * tables.classes
        tables_of = first + classes
        # What is certain costs nothing, whatever the offset.
        coded = tables.certain(tables_of) < 0
        alike, self.numbers = np.unique((tables_of * tables.words + index)[coded], return_counts=True)
        table, self.index = np.divmod(alike, tables.words)
        self.groups, self.classes = np.divmod(table, tables.classes)

    def cost(self, classes: np.ndarray) -> np.ndarray:
        """Units (G,) with these classes (n,) instead of their own."""
        total = np.zeros(self.count, dtype=np.int64)
        prices = self.tables.prices(self.groups * self.tables.classes + classes, self.index)
        np.add.at(total, self.groups, prices * self.numbers)
        return total
