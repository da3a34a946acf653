"""Codebooks and tables of one band of a latent, as the coder uses them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vqcodec.entropy.coding_order import Slice
from vqcodec.entropy.integer_prior import Arrays
from vqcodec.entropy.range_coder import TableSet
from vqcodec.entropy.tables import combine_rows, counts_from_codes


@dataclass(frozen=True)
class CodedBand:
    """One band's codebooks and tables.

    Attributes:
        words: (G, K, d) int64 in steps of 1/128, those of the hyper-latent in 1/32.
        tables: models of table g * classes + class.
        classes: tables per group.
        channel: first latent channel; group g takes channel + g, channel + g + G, ...
        group: number of the first group among all bands.
    """

    words: np.ndarray
    tables: TableSet
    classes: int
    channel: int
    group: int

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.words.shape[0])

    @property
    def channels(self) -> int:
        """Number of latent channels."""
        return int(self.words.shape[0] * self.words.shape[2])

    def channels_of(self, group: int) -> tuple[int, ...]:
        """The latent channels that make up a group's vector, in its order."""
        return tuple(range(self.channel + group, self.channel + self.channels, self.groups))

    def within(self, piece: Slice) -> tuple[slice, slice]:
        """Its channels and its groups among those of a slice."""
        channel, group = self.channel - piece.channels.start, self.group - piece.groups.start
        return slice(channel, channel + self.channels), slice(group, group + self.groups)

    def look_up(self, index: np.ndarray) -> np.ndarray:
        """Indices (h, w, G) -> codewords (h, w, G*d) in channel order, int64."""
        vectors = self.words[np.arange(self.groups), index]
        return vectors.transpose(0, 1, 3, 2).reshape((*index.shape[:2], -1))

    def table_numbers(self, classes: np.ndarray) -> np.ndarray:
        """Classes (h, w, G) of this band -> table numbers, flat in order (group, row, column)."""
        numbers = np.arange(self.groups)[:, None, None] * self.classes + classes.transpose(2, 0, 1)
        return numbers.reshape(-1)


def read_bands(arrays: Arrays, prefix: str, levels: tuple[int, ...]) -> list[CodedBand]:
    """All bands of a latent ("y") or hyper-latent ("z") whose tables have classes of these numbers of levels.

    Raises:
        ValueError: the tables do not.
    """
    count = sum(name.startswith(f"{prefix}.words.") for name in arrays)
    bands, channel, group = [], 0, 0
    for i in range(count):
        words = arrays[f"{prefix}.words.{i}"].astype(np.int64)
        rows = arrays[f"{prefix}.tables.{i}"]
        if rows.shape[1] != sum(levels):
            raise ValueError("the tables do not fit the context classes")
        # Group by group the arrays stay in the processor's cache; all at once took .7 s at first, not .3.
        powers = arrays["powers"]
        counts = [counts_from_codes(combine_rows(own, levels), powers).astype(np.int32) for own in rows]
        tables = TableSet(np.concatenate(counts))
        bands.append(CodedBand(words, tables, math.prod(levels), channel, group))
        channel += words.shape[0] * words.shape[2]
        group += words.shape[0]
    return bands
