"""One tile's indices <-> segments: the walk over hyper-latent and passes that both directions share.

    layer 0:  z (all groups), then y of pass 0        layer 1:  y of passes 1, 2, 3

Inside a pass: bands in order, groups in order, context classes ascending, positions row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vqcodec.entropy.coder import SegmentReader, SegmentWriter, TableSet
from vqcodec.entropy.integer_prior import (
    INPUT_MAX,
    LATENT_MAX,
    PASSES,
    Arrays,
    IntegerPrior,
    Product,
)
from vqcodec.entropy.tables import combine_rows, counts_from_codes
from vqcodec.types import LEVEL_MAX

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
LAYER_OF_PASS = (0, 1, 1, 1)
LAYERS = 2
LEVELS_PER_CLASS = 16
"""Quality levels (0..252) that share one table of the hyper-latent."""

Choose = Callable[[int, np.ndarray, np.ndarray], list[np.ndarray]]
"""(pass, mean (h, w, M), classes (h, w, G)) -> indices (h, w, G) int64 of each band."""

Observe = Callable[[int | None, int, np.ndarray, np.ndarray], None]
"""(pass, or None for the hyper-latent; number of the band; indices (G, h, w); their table numbers alike)."""


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

    def look_up(self, index: np.ndarray) -> np.ndarray:
        """Indices (h, w, G) -> codewords (h, w, G*d) in channel order, int64."""
        vectors = self.words[np.arange(self.groups), index]
        return vectors.transpose(0, 1, 3, 2).reshape((*index.shape[:2], -1))

    def table_numbers(self, classes: np.ndarray) -> np.ndarray:
        """Classes (h, w, G) of this band -> table numbers, flat in order (group, row, column)."""
        numbers = np.arange(self.groups)[:, None, None] * self.classes + classes.transpose(2, 0, 1)
        return numbers.reshape(-1)


def _bands(arrays: Arrays, prefix: str, count: int, levels: tuple[int, ...]) -> list[CodedBand]:
    bands, channel, group = [], 0, 0
    for i in range(count):
        words = arrays[f"{prefix}.words.{i}"].astype(np.int64)
        rows = arrays[f"{prefix}.tables.{i}"]
        if rows.shape[1] != sum(levels):
            raise ValueError("the tables do not fit the context classes")
        codes = combine_rows(rows, levels)
        counts = counts_from_codes(codes, arrays["powers"]).reshape(-1, codes.shape[-1])
        bands.append(CodedBand(words, TableSet(counts.astype(np.int32)), codes.shape[1], channel, group))
        channel += words.shape[0] * words.shape[2]
        group += words.shape[0]
    return bands


def prior_level_of(level: int) -> int:
    """The level 0..252 on the prior's dial 0..64."""
    return (level * 64 + 126) // 252


class LatentCoder:
    """Everything between segments and integer latents, built from a model's coding arrays."""

    def __init__(self, arrays: Arrays, product: Product = np.matmul) -> None:
        context_levels = tuple(int(n) for n in arrays["context_levels"])
        count = sum(name.startswith("y.words.") for name in arrays)
        hyper_count = sum(name.startswith("z.words.") for name in arrays)
        self.bands = _bands(arrays, "y", count, context_levels)
        self.hyper_bands = _bands(arrays, "z", hyper_count, (LEVEL_MAX // LEVELS_PER_CLASS + 1,))
        self.channels = sum(b.channels for b in self.bands)
        self.groups = sum(b.groups for b in self.bands)
        if any(np.abs(b.words).max() > INPUT_MAX for b in self.hyper_bands):
            raise ValueError("codewords of the hyper-latent break the bounds of exact arithmetic")
        self.prior = IntegerPrior(arrays, self.channels, self.groups, context_levels, product)

    # -- encoding ------------------------------------------------------------------------------
    def encode(
        self, z_index: list[np.ndarray], shape: tuple[int, int], level: int, choose: Choose
    ) -> tuple[list[bytes], np.ndarray]:
        """Code one tile.

        Args:
            z_index: indices (hz, wz, G) of each hyper band.
            shape: height and width of the latent.
            level: 0..252.
            choose: the encoder's search; sees exactly what the decoder will see.

        Returns:
            the segments of both layers, and the latent (h, w, M) int64 as the decoder will get it.
        """
        writers = [SegmentWriter() for _ in range(LAYERS)]
        for band, index in zip(self.hyper_bands, z_index, strict=True):
            tables = band.table_numbers(np.full(index.shape, level // LEVELS_PER_CLASS))
            writers[0].write(index.transpose(2, 0, 1).reshape(-1), tables, band.tables)

        def coded(p: int, mean: np.ndarray, classes: np.ndarray) -> np.ndarray:
            values = []
            for band, index in zip(self.bands, choose(p, mean, classes), strict=True):
                tables = band.table_numbers(classes[:, :, band.group : band.group + band.groups])
                writers[LAYER_OF_PASS[p]].write(index.transpose(2, 0, 1).reshape(-1), tables, band.tables)
                values.append(band.look_up(index))
            return np.concatenate(values, axis=2)

        latent = self._walk(self._z_hat(z_index), shape, level, coded)
        return [writer.finish() for writer in writers], latent

    # -- decoding ------------------------------------------------------------------------------
    def decode(
        self,
        segments: Sequence[bytes | None],
        shape: tuple[int, int],
        level: int,
        observe: Observe | None = None,
    ) -> np.ndarray:
        """Latent (h, w, M) int64 in steps of 1/128 of one tile.

        A missing second layer leaves the prior's means; a missing first one leaves zeros. `observe` is shown
        what was read, band by band.

        Raises:
            CorruptData: a segment does not decode to exactly its symbols.
        """
        if segments[0] is None:
            return np.zeros((*shape, self.channels), dtype=np.int64)
        readers = [SegmentReader(s) if s is not None else None for s in segments]
        first = readers[0]
        if first is None:
            raise AssertionError("unreachable: layer 0 was checked above")
        rows, columns = -(-shape[0] // 4), -(-shape[1] // 4)
        z_index = []
        for number, band in enumerate(self.hyper_bands):
            grid = np.full((rows, columns, band.groups), level // LEVELS_PER_CLASS)
            tables = band.table_numbers(grid)
            symbols = first.read(tables, band.tables).reshape(band.groups, rows, columns)
            z_index.append(symbols.transpose(1, 2, 0))
            if observe is not None:
                observe(None, number, symbols, tables.reshape(symbols.shape))

        def read(p: int, mean: np.ndarray, classes: np.ndarray) -> np.ndarray | int:
            reader = readers[LAYER_OF_PASS[p]]
            if reader is None:
                return 0
            h, w = classes.shape[:2]
            values = []
            for number, band in enumerate(self.bands):
                tables = band.table_numbers(classes[:, :, band.group : band.group + band.groups])
                symbols = reader.read(tables, band.tables).reshape(band.groups, h, w)
                values.append(band.look_up(symbols.transpose(1, 2, 0)))
                if observe is not None:
                    observe(p, number, symbols, tables.reshape(symbols.shape))
            return np.concatenate(values, axis=2)

        latent = self._walk(self._z_hat(z_index), shape, level, read)
        for reader in readers:
            if reader is not None:
                reader.finish()
        return latent

    # -- shared --------------------------------------------------------------------------------
    def _z_hat(self, z_index: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([b.look_up(i) for b, i in zip(self.hyper_bands, z_index, strict=True)], axis=2)

    def _walk(
        self,
        z_hat: np.ndarray,
        shape: tuple[int, int],
        level: int,
        residual: Callable[[int, np.ndarray, np.ndarray], np.ndarray | int],
    ) -> np.ndarray:
        """Latent from passes; `residual` gives a pass's quantised residual for mean and classes."""
        h, w = shape
        half_h, half_w = -(-h // 2), -(-w // 2)
        prior_level = prior_level_of(level)
        features = self.prior.hyper(z_hat, prior_level)[:half_h, :half_w]
        latent = np.zeros((2 * half_h, 2 * half_w, self.channels), dtype=np.int64)
        decoded: list[np.ndarray] = []
        for p, (i, j) in zip(range(PASSES), PHASES, strict=True):
            mean, classes = self.prior.predict(features, decoded, prior_level)
            # Where the grid is odd the last row or column of a phase lies outside: it is zero.
            rows, columns = -(-(h - i) // 2), -(-(w - j) // 2)
            value = np.zeros_like(mean)
            inside = mean[:rows, :columns]
            value[:rows, :columns] = inside
            if rows and columns:
                value[:rows, :columns] += residual(p, inside, classes[:rows, :columns])
            np.clip(value, -LATENT_MAX, LATENT_MAX, out=value)
            decoded.append(value)
            latent[i::2, j::2] = value
        return latent[:h, :w]
