"""The tables of a band or of a side information, each built when it is first used, for either engine."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from vqcodec.entropy.tables import TOTAL, counts_from_codes, join_rows
from vqcodec.native.choice import entropy_extension

TABLES_AT_ONCE = 1024


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
        self.groups, (self.classes, self.words) = 1, counts.shape
        self._given: np.ndarray | None = np.ascontiguousarray(counts, dtype=np.int32)
        self._start()

    @classmethod
    def from_rows(cls, rows: np.ndarray, bins: tuple[int, ...], powers: np.ndarray) -> TableSet:
        """Tables of the codes that rows (G, sum of bins, K) uint8 add up to, see `vqcodec.entropy.tables`.

        Raises:
            ValueError: the rows are those of other classes, or the powers (256,) uint32 are none.
        """
        if rows.ndim != 3 or rows.shape[1] != sum(bins) or rows.dtype != np.uint8:
            raise ValueError("the tables do not fit the context classes")
        if powers.shape != (256,) or powers.dtype != np.uint32 or powers[0] == 0:
            raise ValueError("the powers are not 256 numbers of which the first is not 0")
        self = cls.__new__(cls)
        self.groups, self.classes, self.words = rows.shape[0], math.prod(bins), rows.shape[2]
        self._given = None
        self._rows, self._bins, self._powers = np.ascontiguousarray(rows), bins, powers
        self._start()
        return self

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._native: Any = None
        self._models: dict[int, object] = {}

    def codes(self, numbers: np.ndarray) -> np.ndarray:
        """Codes (n, K) uint8 of tables (n,) that come from rows."""
        return join_rows(self._rows, self._bins, *divmod(numbers, self.classes))

    def some(self, numbers: np.ndarray) -> np.ndarray:
        """Counts (n, K) int32 of tables (n,)."""
        if self._given is not None:
            return self._given[numbers]
        return counts_from_codes(self.codes(numbers), self._powers).astype(np.int32)

    @cached_property
    def counts(self) -> np.ndarray:
        """Counts (G * classes, K) int32 of all tables; built and kept when first asked for, which is slow."""
        if self._given is not None:
            return self._given
        # A part at a time stays in the processor's cache, which halves the time.
        numbers = np.arange(self.groups * self.classes)
        parts = [numbers[start : start + TABLES_AT_ONCE] for start in range(0, len(numbers), TABLES_AT_ONCE)]
        return np.concatenate([self.some(part) for part in parts])

    @property
    def native(self) -> Any:
        """The `Tables` of the C engine, which builds and keeps its own."""
        with self._lock:
            if self._native is None:
                kind = entropy_extension().Tables
                if self._given is not None:
                    self._native = kind.from_counts(self._given)
                else:
                    self._native = kind(self._rows, self._bins, self._powers)
            return self._native

    def models(self, numbers: Iterable[int], make: Any) -> dict[int, object]:
        """What `make` builds of the counts (K,) int32 of each table, by their numbers; kept for the next time."""
        with self._lock:
            missing = [number for number in numbers if number not in self._models]
            for start in range(0, len(missing), TABLES_AT_ONCE):
                part = missing[start : start + TABLES_AT_ONCE]
                self._models.update(zip(part, map(make, self.some(np.array(part))), strict=True))
            return self._models
