"""The range coder where the C engine was not built; the only file that imports constriction.

It codes run by run, a run being the symbols of one table: one call per table instead of one per symbol.
"""

from __future__ import annotations

import constriction
import numpy as np

from vqcodec.entropy.table_set import RowTables, TableSet


def model(counts: np.ndarray) -> object:
    """The constriction model of counts (K,)."""
    # With perfect=False constriction gives each symbol one count and shares out the other 2**24 - K in
    # proportion to the weights. These sum to just that, so that it codes with exactly our counts.
    return constriction.stream.model.Categorical((counts - 1).astype(np.float64), perfect=False)


def runs(tables: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The order in which symbols of the tables (n,) are coded.

    Returns:
        (n,) index of the symbol that is coded at each place: by ascending tables, stable; and (table, first
        place, place after the last) of each run of one table.
    """
    if not len(tables):
        return np.empty(0, np.int64), []
    # numpy sorts short integers several times faster.
    order = np.argsort(tables.astype(np.min_scalar_type(int(tables.max()))), kind="stable")
    ordered = tables[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]).tolist()
    return order, list(zip(ordered[starts].tolist(), starts, [*starts[1:], len(tables)], strict=True))


class _Order:
    """The order in which symbols (n, G) are coded, taken group by group.

    Attributes:
        places: of the symbols that are coded, in their order, among all.
        spans: runs of them, see `runs`.
        words: (n * G,) what the others are certain to be; None if there are no others.
    """

    def __init__(self, classes: np.ndarray, tables: TableSet, moves: np.ndarray | None) -> None:
        groups = classes.shape[1]
        step = tables.groups * tables.classes // groups
        if classes.size and (classes.min() < 0 or classes.max() >= step):
            raise IndexError("a class is out of range")
        first = np.arange(groups, dtype=np.int64) * step
        numbers = (classes + first).T.reshape(-1)
        self.words: np.ndarray | None = None
        if moves is None:
            self.places, self.spans = runs(numbers)
            return
        if moves.shape != (groups, step) or not isinstance(tables, RowTables):
            raise ValueError("the moves are not those of as many groups")
        moved = (moves + first[:, None]).reshape(-1)[numbers]
        if moved.size and bool((moved // step != numbers // step).any()):
            raise IndexError("a class is out of range")
        self.words = tables.certain(numbers)
        coded = np.flatnonzero(self.words < 0)
        order, self.spans = runs(moved[coded])
        self.places = coded[order]


class Encoder:
    """As `vqcodec.native._entropy.Encoder`."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def encode(
        self, symbols: np.ndarray, classes: np.ndarray, tables: TableSet, moves: np.ndarray | None = None
    ) -> None:
        """Append symbols (n, G) int32 of these classes."""
        order = _Order(classes, tables, moves)
        models = tables.models((table for table, _, _ in order.spans), model)
        every = symbols.T.reshape(-1)
        values = every[order.places]
        if values.size and (values.min() < 0 or values.max() >= tables.words):
            raise IndexError("a symbol is out of range")
        if order.words is not None and bool(((order.words >= 0) & (order.words != every)).any()):
            raise IndexError("a symbol is not what it is certain to be")
        for table, start, end in order.spans:
            self._encoder.encode(values[start:end], models[table])

    def finish(self) -> bytes:
        """All words, in this machine's order."""
        return bytes(self._encoder.get_compressed().tobytes())


class Decoder:
    """As `vqcodec.native._entropy.Decoder`, but for what it finds out at the end only."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words
        self._decoder = constriction.stream.queue.RangeDecoder(words)
        self._again = constriction.stream.queue.RangeEncoder()

    def decode(
        self, symbols: np.ndarray, classes: np.ndarray, tables: TableSet, moves: np.ndarray | None = None
    ) -> bool:
        """Fill in symbols (n, G) int32 of these classes; False if the words cannot be those of symbols."""
        order = _Order(classes, tables, moves)
        models = tables.models((table for table, _, _ in order.spans), model)
        values = np.empty(len(order.places), dtype=np.int32)
        try:
            for table, start, end in order.spans:
                values[start:end] = run = self._decoder.decode(models[table], end - start)
                self._again.encode(run, models[table])
        except (AssertionError, KeyError, TypeError, ValueError):
            return False
        ordered = np.empty(classes.size, dtype=np.int32) if order.words is None else order.words
        ordered[order.places] = values
        symbols[...] = ordered.reshape(symbols.shape[::-1]).T
        return True

    def finish(self) -> bool:
        """Whether the symbols read encode to just these words."""
        return np.array_equal(self._again.get_compressed(), self._words)
