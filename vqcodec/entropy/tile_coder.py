"""One tile's indices <-> segments: the walk over hyper-latent and passes that both directions share.

    layer 0:  z (all groups), shifts, then y of the passes of the first phase
    layer 1:  y of the other three

Inside a pass: slices and bands in order, groups in order, context classes ascending, positions row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vqcodec.entropy.class_offsets import Shifts
from vqcodec.entropy.codebooks import read_bands
from vqcodec.entropy.coding_order import PASSES, PHASES, Slice, cut_slices, whole
from vqcodec.entropy.integer_prior import (
    INPUT_MAX,
    LATENT_MAX,
    Arrays,
    IntegerPrior,
    Product,
)
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.types import LEVEL_MAX

LAYERS = 2
LEVELS_PER_CLASS = 16
"""Quality levels (0..252) that share one table of the hyper-latent."""

Choose = Callable[[int, Slice, np.ndarray, np.ndarray], list[np.ndarray]]
"""(pass, slice, its mean (h, w, C) and classes (h, w, G)) -> indices (h, w, G) int64 of each of its bands."""

Coded = list[tuple[int, Slice, list[np.ndarray], np.ndarray]]
"""(pass, slice, indices (h, w, G) of its bands, classes (h, w, G) that the prior gives its groups), in the
order of coding."""

ChooseShifts = Callable[[Coded], list[np.ndarray]]
"""The shifts (G,) of each band's groups, see `vqcodec.entropy.class_offsets`."""

SHIFTS = -1
Observe = Callable[[int | None, int, np.ndarray, np.ndarray], None]
"""(pass; number of the band; indices (G, h, w); their table numbers alike). In place of the pass, None stands
for the hyper-latent and SHIFTS for the shifts (G, 1, 1) of the band's groups."""


def prior_level_of(level: int) -> int:
    """The level 0..252 on the prior's dial 0..64."""
    return (level * 64 + 126) // 252


class LatentCoder:
    """Everything between segments and integer latents, built from a model's coding arrays."""

    def __init__(self, arrays: Arrays, product: Product = np.matmul) -> None:
        context_levels = tuple(int(n) for n in arrays["context_levels"])
        self.bands = read_bands(arrays, "y", context_levels)
        self.hyper_bands = read_bands(arrays, "z", (LEVEL_MAX // LEVELS_PER_CLASS + 1,))
        self.channels = sum(b.channels for b in self.bands)
        self.groups = sum(b.groups for b in self.bands)
        for bands, limit in ((self.hyper_bands, INPUT_MAX), (self.bands, LATENT_MAX)):
            if any(np.abs(b.words).max() > limit for b in bands):
                raise ValueError("codewords break the bounds of exact arithmetic")
        # Models from before there were slices have none.
        starts = arrays["slices"].tolist() if "slices" in arrays else ()
        slices = cut_slices([(b.channels, b.groups) for b in self.bands], starts)
        self.prior = IntegerPrior(arrays, slices, context_levels, product)
        # Models from before there were shifts have none.
        self.shifts = Shifts(arrays["y.shifts"], context_levels) if "y.shifts" in arrays else None

    # -- encoding ------------------------------------------------------------------------------
    def encode(
        self,
        z_index: list[np.ndarray],
        shape: tuple[int, int],
        level: int,
        choose: Choose,
        choose_shifts: ChooseShifts | None = None,
    ) -> tuple[list[bytes], np.ndarray]:
        """Code one tile.

        Args:
            z_index: indices (hz, wz, G) of each hyper band.
            shape: height and width of the latent.
            level: 0..252.
            choose: the encoder's search; sees exactly what the decoder will see.
            choose_shifts: called with what was chosen, if the model knows shifts; without it nothing moves.

        Returns:
            the segments of both layers, and the latent (h, w, M) int64 as the decoder will get it.
        """
        writers = [SegmentWriter() for _ in range(LAYERS)]
        for band, index in zip(self.hyper_bands, z_index, strict=True):
            tables = band.table_numbers(np.full(index.shape, level // LEVELS_PER_CLASS))
            writers[0].write(index.transpose(2, 0, 1).reshape(-1), tables, band.tables)

        coded: Coded = []

        def keep(p: int, piece: Slice, mean: np.ndarray, classes: np.ndarray) -> np.ndarray:
            indices = choose(p, piece, mean, classes)
            coded.append((p, piece, indices, classes))
            pairs = zip(self.bands[piece.bands], indices, strict=True)
            return np.concatenate([band.look_up(index) for band, index in pairs], axis=2)

        latent = self._walk(self._z_hat(z_index), shape, level, keep)
        shifts = None
        if self.shifts is not None:
            still = [np.full(band.groups, self.shifts.still) for band in self.bands]
            shifts = still if choose_shifts is None else choose_shifts(coded)
            self.shifts.write(writers[0], shifts)
        for p, piece, indices, classes in coded:
            numbered = list(enumerate(self.bands))[piece.bands]
            for (number, band), index in zip(numbered, indices, strict=True):
                tables = band.table_numbers(self._classes(classes, number, piece, shifts))
                writers[PASSES[p].layer].write(index.transpose(2, 0, 1).reshape(-1), tables, band.tables)
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
        z_index = self._read_hyper(first, shape, level, observe)
        shifts = None
        if self.shifts is not None:
            shifts = self.shifts.read(first, [band.groups for band in self.bands])
            if observe is not None:
                for number, numbers in enumerate(shifts):
                    places = numbers[:, None, None]
                    observe(SHIFTS, number, places, np.zeros_like(places))

        def read(p: int, piece: Slice, mean: np.ndarray, classes: np.ndarray) -> np.ndarray:
            reader = readers[PASSES[p].layer]
            if reader is None:
                return np.zeros_like(mean)
            h, w = classes.shape[:2]
            values = []
            for number, band in list(enumerate(self.bands))[piece.bands]:
                tables = band.table_numbers(self._classes(classes, number, piece, shifts))
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

    def _read_hyper(
        self, reader: SegmentReader, shape: tuple[int, int], level: int, observe: Observe | None
    ) -> list[np.ndarray]:
        """Indices (hz, wz, G) of each hyper band."""
        rows, columns = -(-shape[0] // 4), -(-shape[1] // 4)
        z_index = []
        for number, band in enumerate(self.hyper_bands):
            grid = np.full((rows, columns, band.groups), level // LEVELS_PER_CLASS)
            tables = band.table_numbers(grid)
            symbols = reader.read(tables, band.tables).reshape(band.groups, rows, columns)
            z_index.append(symbols.transpose(1, 2, 0))
            if observe is not None:
                observe(None, number, symbols, tables.reshape(symbols.shape))
        return z_index

    # -- shared --------------------------------------------------------------------------------
    def _z_hat(self, z_index: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([b.look_up(i) for b, i in zip(self.hyper_bands, z_index, strict=True)], axis=2)

    def _classes(
        self, classes: np.ndarray, number: int, piece: Slice, shifts: list[np.ndarray] | None
    ) -> np.ndarray:
        """Of the classes of a slice's groups those of one band, after its shifts."""
        band = self.bands[number]
        own = classes[:, :, band.within(piece)[1]]
        return own if self.shifts is None or shifts is None else self.shifts.move(own, shifts[number])

    def _walk(
        self,
        z_hat: np.ndarray,
        shape: tuple[int, int],
        level: int,
        residual: Callable[[int, Slice, np.ndarray, np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Latent from passes; `residual` gives a slice's quantised residual for mean and classes."""
        h, w = shape
        prior_level = prior_level_of(level)
        latent = np.zeros((*whole(h, w), self.channels), dtype=np.int64)
        features = self.prior.hyper(z_hat, prior_level)[: latent.shape[0] // 2, : latent.shape[1] // 2]
        phases = [latent[i::2, j::2] for i, j in PHASES]
        for p, place in enumerate(PASSES):
            # Where the grid reaches beyond the tile the latent stays zero.
            rows, columns = place.sides(h, w)
            if not (rows and columns):
                continue
            inside = latent[place.places][:rows, :columns]
            state = self.prior.open(p, features, phases[: place.maps], prior_level).inside(rows, columns)
            for n, piece in enumerate(self.prior.slices):
                mean, classes = self.prior.predict(n, state, prior_level)
                state.known.append(residual(p, piece, mean, classes))
                np.clip(mean + state.known[-1], -LATENT_MAX, LATENT_MAX, out=inside[:, :, piece.channels])
        return latent[:h, :w]
