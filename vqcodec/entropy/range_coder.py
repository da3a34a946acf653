"""Symbols and table numbers to coder words and back; the only file that imports constriction.

Symbols are coded table by table in ascending table number, each table's symbols in the order given.
That order is part of the format, and it is fast: one call per table instead of one per symbol.
"""

from __future__ import annotations

import constriction
import numpy as np

from vqcodec.entropy.tables import TOTAL
from vqcodec.errors import CorruptData


class TableSet:
    """Coder models of a set of tables, built from counts when first used.

    Args:
        counts: (tables, K) integers, each row summing to 2**24 with entries >= 1.
    """

    def __init__(self, counts: np.ndarray) -> None:
        if counts.ndim != 2 or bool((counts.sum(1) != TOTAL).any()) or bool((counts < 1).any()):
            raise ValueError("every table must hold counts >= 1 that sum to 2**24")
        self.counts = counts
        self._models: dict[int, object] = {}

    def model(self, table: int) -> object:
        """The constriction model of one table."""
        if table not in self._models:
            # With perfect=False constriction gives each symbol one count and shares out the other 2**24 - K
            # in proportion to the weights. These sum to just that, so that it codes with exactly our counts.
            weights = (self.counts[table] - 1).astype(np.float64)
            self._models[table] = constriction.stream.model.Categorical(weights, perfect=False)
        return self._models[table]


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


class SegmentWriter:
    """Collects the symbols of one segment in one range coder."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def write(self, symbols: np.ndarray, tables: np.ndarray, models: TableSet) -> None:
        """Append symbols (n,) coded with the tables (n,)."""
        order, spans = runs(tables)
        values = symbols.astype(np.int32)[order]
        for table, start, end in spans:
            self._encoder.encode(values[start:end], models.model(table))

    def finish(self) -> bytes:
        """The segment: its coder words, 32 bits each, little-endian."""
        return self._encoder.get_compressed().astype("<u4").tobytes()


class SegmentReader:
    """Reads back what `SegmentWriter` wrote, given the same tables in the same order.

    A range decoder accepts nearly any coder words: it does not notice a missing or an added zero at the
    end. So the symbols are encoded again as they are read, and must give the same coder words.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise CorruptData("segment is not a whole number of 32-bit words")
        self._coder_words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        self._decoder = constriction.stream.queue.RangeDecoder(self._coder_words)
        self._again = constriction.stream.queue.RangeEncoder()

    def read(self, tables: np.ndarray, models: TableSet) -> np.ndarray:
        """Decode one symbol for each entry of `tables` (n,), as int64.

        Raises:
            CorruptData: the coder words do not decode.
        """
        order, spans = runs(tables)
        values = np.empty(len(tables), dtype=np.int32)
        try:
            for table, start, end in spans:
                model = models.model(table)
                values[start:end] = run = self._decoder.decode(model, end - start)
                self._again.encode(run, model)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise CorruptData("segment does not decode") from error
        symbols = np.empty(len(tables), dtype=np.int64)
        symbols[order] = values
        return symbols

    def finish(self) -> None:
        """Check that the coder words are exactly those of the symbols read.

        Raises:
            CorruptData: coder words are missing, left over or changed.
        """
        if not np.array_equal(self._again.get_compressed(), self._coder_words):
            raise CorruptData("segment is not what its symbols encode to")
