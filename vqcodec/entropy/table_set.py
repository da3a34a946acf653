"""The tables of a band or of a side information, each built when it is first used, for either engine."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from vqcodec.entropy.tables import CODE_NATS, TOTAL, add_rows, certain_words, counts_from_codes
from vqcodec.native.choice import entropy_extension

TABLES_AT_ONCE = 1024
_UNKNOWN = -2
CODE_UNITS = 1024
"""Units of a price in one step of the codes."""


class TableSet:
    """Tables of counts that sum to 2**24; safe to use from several threads.

    Attributes:
        groups: groups of a band whose tables these are, else 1.
        classes: tables of each group; table g * classes + class is that of a class.
        words: counts K of each table.
    """

    def __init__(self, counts: np.ndarray) -> None:
        """counts: (tables, K) integers, each row summing to 2**24 with entries >= 1.

        Raises:
            ValueError: they are none.
        """
        if counts.ndim != 2 or bool((counts.sum(1) != TOTAL).any()) or bool((counts < 1).any()):
            raise ValueError("every table must hold counts >= 1 that sum to 2**24")
        self._start(1, *counts.shape)
        self._counts = np.ascontiguousarray(counts, dtype=np.int32)

    def _start(self, groups: int, classes: int, words: int) -> None:
        self.groups, self.classes, self.words = groups, classes, words
        self._lock = threading.Lock()
        self._native: Any = None
        self._models: dict[int, object] = {}

    @property
    def counts(self) -> np.ndarray:
        """Counts (G * classes, K) int32 of all tables."""
        return self._counts

    def some(self, numbers: np.ndarray) -> np.ndarray:
        """Counts (n, K) int32 of tables (n,)."""
        return self._counts[numbers]

    def _make_native(self) -> Any:
        return entropy_extension().Tables.from_counts(self._counts)

    @property
    def native(self) -> Any:
        """The `Tables` of the C engine, which builds and keeps its own."""
        with self._lock:
            if self._native is None:
                self._native = self._make_native()
            return self._native

    def models(self, numbers: Iterable[int], make: Any) -> dict[int, object]:
        """What `make` builds of the counts (K,) of each table, by their numbers; kept for the next time."""
        with self._lock:
            missing = [number for number in numbers if number not in self._models]
            for start in range(0, len(missing), TABLES_AT_ONCE):
                part = missing[start : start + TABLES_AT_ONCE]
                self._models.update(zip(part, map(make, self.some(np.array(part))), strict=True))
            return self._models


class RowTables(TableSet):
    """Tables that come from rows of codes, see `vqcodec.entropy.tables`."""

    def __init__(self, rows: np.ndarray, bins: tuple[int, ...], powers: np.ndarray) -> None:
        """rows (G, sum of bins, K) uint8, bins of each context number, powers (256,) uint32.

        Raises:
            ValueError: the rows are those of other classes, or the powers are none.
        """
        if rows.ndim != 3 or rows.shape[1] != sum(bins) or rows.dtype != np.uint8:
            raise ValueError("the tables do not fit the context classes")
        if powers.shape != (256,) or powers.dtype != np.uint32 or powers[0] == 0:
            raise ValueError("the powers are not 256 numbers of which the first is not 0")
        self._start(rows.shape[0], math.prod(bins), rows.shape[2])
        self._rows, self._bins = np.ascontiguousarray(rows), bins
        self._powers = np.ascontiguousarray(powers)
        self._certain: np.ndarray | None = None
        self._least: np.ndarray | None = None
        self._log = np.empty(0)

    @cached_property
    def counts(self) -> np.ndarray:
        """Counts (G * classes, K) int32 of all tables; built and kept when asked for, which takes long."""
        # A part at a time stays in the processor's cache, which halves the time.
        numbers = np.arange(self.groups * self.classes)
        parts = [numbers[start : start + TABLES_AT_ONCE] for start in range(0, len(numbers), TABLES_AT_ONCE)]
        return np.concatenate([self.some(part) for part in parts])

    def codes(self, numbers: np.ndarray) -> np.ndarray:
        """Codes (n, K) uint8 of tables (n,)."""
        return add_rows(self._rows, self._bins, *divmod(numbers, self.classes))[0]

    def some(self, numbers: np.ndarray) -> np.ndarray:
        """Counts (n, K) int32 of tables (n,)."""
        return counts_from_codes(self.codes(numbers), self._powers).astype(np.int32)

    def _make_native(self) -> Any:
        return entropy_extension().Tables(self._rows, self._bins, self._powers)

    def certain(self, numbers: np.ndarray) -> np.ndarray:
        """The codeword int32 that symbols of tables (...,) are certain to be, -1 where none is."""
        with self._lock:
            if self._certain is None:
                self._certain = np.full(self.groups * self.classes, _UNKNOWN, dtype=np.int32)
            used = np.unique(numbers)
            missing = used[self._certain[used] == _UNKNOWN]
            for start in range(0, len(missing), TABLES_AT_ONCE):
                part = missing[start : start + TABLES_AT_ONCE]
                self._certain[part] = certain_words(self.codes(part), self._powers)
        return self._certain[numbers]

    def prices(self, numbers: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """-ln p of symbols in tables of these numbers, both (n,), nearly exact: int64 in units."""
        self._find_logs(np.unique(numbers))
        assert self._least is not None
        groups, classes = divmod(numbers, self.classes)
        code, end = -self._least[numbers], self._rows.shape[1]
        for count in reversed(self._bins):
            end -= count
            classes, number = np.divmod(classes, count)
            code += self._rows[groups, end + number, symbols]
        return np.minimum(code, 255) * np.int64(CODE_UNITS) + self._log[numbers]

    def _find_logs(self, numbers: np.ndarray) -> None:
        """What all words of tables (n,) pay, and what is taken off their codes; kept for the next time."""
        with self._lock:
            if self._least is None:
                count = self.groups * self.classes
                self._least, self._log = np.full(count, -1, dtype=np.int32), np.zeros(count, dtype=np.int64)
            missing = numbers[self._least[numbers] < 0]
            for start in range(0, len(missing), TABLES_AT_ONCE):
                part = missing[start : start + TABLES_AT_ONCE]
                codes, least = add_rows(self._rows, self._bins, *divmod(part, self.classes))
                sums = self._powers.astype(np.int64)[codes].sum(-1).tolist()
                # The logarithm is the C library's, as in the C engine.
                logs = [math.log(float(n) * 2.0**-31) * (CODE_UNITS / CODE_NATS) for n in sums]
                self._log[part], self._least[part] = np.rint(np.array(logs)).astype(np.int64), least
