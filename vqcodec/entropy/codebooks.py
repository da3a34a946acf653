"""Codebooks and tables of one band of a latent, as the coder uses them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vqcodec.entropy.coding_order import Slice
from vqcodec.entropy.integer_prior import Arrays
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter, TableSet
from vqcodec.entropy.tables import TOTAL_BITS, combine_rows, counts_from_codes


@dataclass(frozen=True)
class CodedBand:
    """One band's codebooks and tables.

    Attributes:
        codewords: (G, K, d) int64 in steps of 1/128, those of the hyper-latent in 1/32.
        tables: models of table g * classes + class.
        classes: tables per group.
        channel: first latent channel; group g takes channel + g, channel + g + G, ...
        group: number of the first group among all bands.
    """

    codewords: np.ndarray
    tables: TableSet
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
        """Indices (h, w, G) -> codewords (h, w, G*d) in channel order, int64."""
        vectors = self.codewords[np.arange(self.groups), index]
        return vectors.transpose(0, 1, 3, 2).reshape((*index.shape[:2], -1))

    def write(self, writer: SegmentWriter, index: np.ndarray, classes: np.ndarray) -> None:
        """Append indices (h, w, G) of these classes (h, w, G): group by group, row by row."""
        writer.write(_flat(index), _flat(self._numbers(classes)), self.tables)

    def read(self, reader: SegmentReader, classes: np.ndarray) -> np.ndarray:
        """Indices (h, w, G) int64 of these classes (h, w, G).

        Raises:
            CorruptData: the coder words do not decode.
        """
        h, w, groups = classes.shape
        symbols = reader.read(_flat(self._numbers(classes)), self.tables)
        return symbols.reshape(groups, h, w).transpose(1, 2, 0)

    def bits(self, index: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Bits (h, w, G) that the tables charge for indices of these classes, both (h, w, G)."""
        return TOTAL_BITS - np.log2(self.tables.counts[self._numbers(classes), index])

    def _numbers(self, classes: np.ndarray) -> np.ndarray:
        """Numbers (h, w, G) of the tables of classes (h, w, G)."""
        return np.arange(self.groups) * self.classes + classes


def _flat(x: np.ndarray) -> np.ndarray:
    """(h, w, G) in the order (group, row, column)."""
    return x.transpose(2, 0, 1).reshape(-1)


def read_bands(arrays: Arrays, prefix: str, bins: tuple[int, ...]) -> list[CodedBand]:
    """All bands of a latent ("y") or hyper-latent ("z") whose context numbers have so many bins.

    Raises:
        ValueError: the tables are those of other classes.
    """
    count = sum(name.startswith(f"{prefix}.words.") for name in arrays)
    bands, channel, group = [], 0, 0
    for i in range(count):
        codewords = arrays[f"{prefix}.words.{i}"].astype(np.int64)
        rows = arrays[f"{prefix}.tables.{i}"]
        if rows.shape[1] != sum(bins):
            raise ValueError("the tables do not fit the context classes")
        # Group by group the arrays stay in the processor's cache, which halves the time.
        counts = [
            counts_from_codes(combine_rows(own, bins), arrays["powers"]).astype(np.int32) for own in rows
        ]
        bands.append(CodedBand(codewords, TableSet(np.concatenate(counts)), math.prod(bins), channel, group))
        channel += codewords.shape[0] * codewords.shape[2]
        group += codewords.shape[0]
    return bands
