"""Codebooks and tables of one band of a latent, as the coder uses them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vqcodec.entropy.coding_order import Slice
from vqcodec.entropy.integer_prior import Arrays
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.entropy.table_set import RowTables
from vqcodec.entropy.tables import TOTAL_BITS


@dataclass(frozen=True)
class CodedBand:
    """One band's codebooks and tables.

    Attributes:
        codewords: (G, K, d) int32 in steps of 1/128, those of the hyper-latent in 1/32.
        tables: models of table g * classes + class.
        classes: tables per group.
        channel: first latent channel; group g takes channel + g, channel + g + G, ...
        group: number of the first group among all bands.
    """

    codewords: np.ndarray
    tables: RowTables
    classes: int
    channel: int
    group: int

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.codewords.shape[0])

    @property
    def channels(self) -> int:
        """Number of latent channels."""
        return int(self.codewords.shape[0] * self.codewords.shape[2])

    def channels_of(self, group: int) -> tuple[int, ...]:
        """The latent channels that make up a group's vector, in its order."""
        return tuple(range(self.channel + group, self.channel + self.channels, self.groups))

    def within(self, piece: Slice) -> tuple[slice, slice]:
        """Its channels and its groups among those of a slice."""
        channel, group = self.channel - piece.channels.start, self.group - piece.groups.start
        return slice(channel, channel + self.channels), slice(group, group + self.groups)

    def look_up(self, index: np.ndarray) -> np.ndarray:
        """Indices (h, w, G) -> codewords (h, w, G*d) in channel order, int32."""
        vectors = self.codewords[np.arange(self.groups), index]
        return vectors.transpose(0, 1, 3, 2).reshape((*index.shape[:2], -1))

    def write(
        self, writer: SegmentWriter, index: np.ndarray, classes: np.ndarray, moves: np.ndarray | None = None
    ) -> None:
        """Append indices (h, w, G) of these classes (h, w, G): group by group, row by row.

        Args:
            moves: those of `ClassOffsets.moves`, with which certain indices are not coded; None for the
                hyper-latent, which has neither.
        """
        writer.write(index, classes, self.tables, moves)

    def read(self, reader: SegmentReader, classes: np.ndarray, moves: np.ndarray | None = None) -> np.ndarray:
        """Indices (h, w, G) int32 of these classes (h, w, G), written with the same moves.

        Raises:
            CorruptData: the coder words do not decode.
        """
        return reader.read(classes, self.tables, moves)

    def certain(self, classes: np.ndarray) -> np.ndarray:
        """The index int32 that is certain by each of these classes (h, w, G), before class offsets, or -1."""
        return self.tables.certain(self._numbers(classes))

    def bits(self, index: np.ndarray, classes: np.ndarray, moves: np.ndarray | None = None) -> np.ndarray:
        """Bits (h, w, G) that indices of these classes, both (h, w, G), take with these moves."""
        moved = classes if moves is None else moves[np.arange(self.groups), classes]
        bits = TOTAL_BITS - np.log2(self.tables.counts[self._numbers(moved), index])
        return bits if moves is None else np.where(self.certain(classes) >= 0, 0.0, bits)

    def _numbers(self, classes: np.ndarray) -> np.ndarray:
        return np.arange(self.groups) * self.classes + classes


def read_bands(arrays: Arrays, prefix: str, bins: tuple[int, ...]) -> list[CodedBand]:
    """All bands of a latent ("y") or hyper-latent ("z") whose context numbers have so many bins.

    Raises:
        ValueError: the tables are those of other classes.
    """
    count = sum(name.startswith(f"{prefix}.words.") for name in arrays)
    bands, channel, group = [], 0, 0
    for i in range(count):
        codewords = arrays[f"{prefix}.words.{i}"].astype(np.int32)
        rows = arrays[f"{prefix}.tables.{i}"]
        if rows.ndim != 3 or (rows.shape[0], rows.shape[2]) != codewords.shape[:2]:
            raise ValueError("the tables do not fit the codewords")
        tables = RowTables(rows, bins, arrays["powers"])
        bands.append(CodedBand(codewords, tables, tables.classes, channel, group))
        channel += codewords.shape[0] * codewords.shape[2]
        group += codewords.shape[0]
    return bands
