"""One tile's indices <-> segments.

    layer 0:  z (all groups), class offsets, then y of the passes of the first phase
    layer 1:  y of the other three phases

Inside a pass: slices and bands in order, groups in order, context classes ascending, positions row by row.
What a class makes certain is left out of y: the decoder knows it.
Encoder and decoder are loops over the same walk, which predicts from the indices that are set on the way:

    for part, mean in coder.walk(z_index, shape, level):
        part.index = ...                                # chosen by the encoder, read by the decoder
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vqcodec.entropy.class_offsets import ClassOffsets
from vqcodec.entropy.codebooks import CodedBand, read_bands
from vqcodec.entropy.coding_order import PASSES, PHASES, Pass, Slice, cut_slices, whole
from vqcodec.entropy.integer_prior import COMPANDED_MAX, LATENT_MAX, Arrays, IntegerPrior, Product, State
from vqcodec.entropy.native_prior import NativePrior
from vqcodec.entropy.range_coder import SegmentReader, SegmentWriter
from vqcodec.native.choice import entropy_extension
from vqcodec.types import LEVEL_MAX

Indices = Sequence[np.ndarray]
LAYERS = 2
LEVELS_PER_CLASS = 16
"""Quality levels (0..252) that share one table of the hyper-latent."""
GUESSED_SLICES = 2
"""Of so many slices the means stand in for a layer that is missing."""


def prior_level_of(level: int) -> int:
    """The level 0..252 on the prior's dial 0..64."""
    return (level * 64 + 126) // 252


@dataclass
class CodedSlice:
    """What is coded at once: one slice of the channels at the positions of one pass.

    Attributes:
        classes: (h, w, G) int32 context classes of its groups, before class offsets.
        index: indices (h, w, G) int32 of each of its bands; none stands for codewords of 0.
    """

    place: Pass
    piece: Slice
    classes: np.ndarray
    index: list[np.ndarray] | None = None


class LatentCoder:
    """Everything between segments and integer latents, built from a model's coding arrays."""

    def __init__(self, arrays: Arrays, product: Product = np.matmul) -> None:
        bins = tuple(int(n) for n in arrays["context_levels"])
        self.bands = read_bands(arrays, "y", bins)
        self.hyper_bands = read_bands(arrays, "z", (LEVEL_MAX // LEVELS_PER_CLASS + 1,))
        self.channels = sum(b.channels for b in self.bands)
        for bands, limit in ((self.hyper_bands, COMPANDED_MAX), (self.bands, LATENT_MAX)):
            if any(np.abs(b.codewords).max() > limit for b in bands):
                raise ValueError("codewords break the bounds of exact arithmetic")
        slices = cut_slices([(b.channels, b.groups) for b in self.bands], arrays["slices"].tolist())
        native = entropy_extension()
        self.prior: IntegerPrior | NativePrior
        if native is None:
            self.prior = IntegerPrior(arrays, slices, bins, product)
        else:
            self.prior = NativePrior(native, arrays, slices, bins)
        self.offsets = ClassOffsets(arrays["y.shifts"], bins)

    def walk(self, z_index: Indices, shape: tuple[int, int], level: int) -> TileWalk:
        """Predict a latent of `shape` (h, w) from indices (hz, wz, G) of each hyper band, at level 0..252."""
        return TileWalk(self, _look_up(self.hyper_bands, z_index), shape, level)

    def write(
        self, z_index: Indices, offsets: Indices, parts: Sequence[CodedSlice], level: int
    ) -> list[bytes]:
        """The segments of both layers of a tile: indices of the hyper bands, offsets (G,) of all bands, and
        what a walk gave, with indices.
        """
        writers = [SegmentWriter() for _ in range(LAYERS)]
        for band, index in zip(self.hyper_bands, z_index, strict=True):
            band.write(writers[0], index, hyper_classes(band, index.shape[:2], level))
        self.offsets.write(writers[0], offsets)
        for part in parts:
            bands = self.bands_of(part, offsets)
            for (band, classes, moves), index in zip(bands, part.index or (), strict=True):
                band.write(writers[part.place.layer], index, classes, moves)
        return [writer.finish() for writer in writers]

    def decode(self, segments: Sequence[bytes | None], shape: tuple[int, int], level: int) -> np.ndarray:
        """Latent (h, w, M) int32 in steps of 1/128 of one tile of `shape` (h, w).

        A missing second layer leaves the prior's means in the first slices and zeros in the others, whose
        means are worth nothing without the codewords around; a missing first one leaves zeros.

        Raises:
            CorruptData: a segment does not decode to exactly its symbols.
        """
        if segments[0] is None:
            return np.zeros((*shape, self.channels), dtype=np.int32)
        readers = [SegmentReader(segment) for segment in segments if segment is not None]
        z_index, offsets = self.read_side(readers[0], shape, level)
        walk = self.walk(z_index, shape, level)
        for part, _ in walk:
            if part.place.layer < len(readers):
                bands, reader = self.bands_of(part, offsets), readers[part.place.layer]
                part.index = [band.read(reader, classes, moves) for band, classes, moves in bands]
        for reader in readers:
            reader.finish()
        for piece in self.prior.slices[GUESSED_SLICES:]:
            for place in PASSES:
                if place.layer >= len(readers):
                    walk.latent[place.places][:, :, piece.channels] = 0
        return walk.latent

    def read_side(
        self, reader: SegmentReader, shape: tuple[int, int], level: int
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """A tile's side information: indices (hz, wz, G) of each hyper band, and offsets (G,) of each band.

        Raises:
            CorruptData: the coder words do not decode.
        """
        sides = -(-shape[0] // 4), -(-shape[1] // 4)
        z_index = [band.read(reader, hyper_classes(band, sides, level)) for band in self.hyper_bands]
        return z_index, self.offsets.read(reader, [band.groups for band in self.bands])

    def settle(self, part: CodedSlice, state: State, mean: np.ndarray, latent: np.ndarray) -> None:
        """Set the latent (h, w, C) of a slice of this mean, and let those that follow see its codewords."""
        bands = self.bands[part.piece.bands] if part.index is not None else ()
        index = part.index or ()
        if isinstance(self.prior, NativePrior):
            whole = tuple(np.ascontiguousarray(own, dtype=np.int32) for own in index)
            self.prior.settle(state, tuple(band.codewords for band in bands), whole, mean, latent)
            return
        known = _look_up(bands, index) if bands else np.zeros_like(mean)
        self.prior.learn(state, known)
        np.clip(mean + known, -LATENT_MAX, LATENT_MAX, out=latent)

    def bands_of(
        self, part: CodedSlice, offsets: Indices
    ) -> Iterator[tuple[CodedBand, np.ndarray, np.ndarray]]:
        """The bands of a slice, with the classes (h, w, G) of their groups and what offsets make of each."""
        for band, own in zip(self.bands[part.piece.bands], offsets[part.piece.bands], strict=True):
            yield band, part.classes[:, :, band.within(part.piece)[1]], self.offsets.moves(own)


def hyper_classes(band: CodedBand, shape: tuple[int, ...], level: int) -> np.ndarray:
    """Classes (hz, wz, G) of a band of the hyper-latent of `shape` (hz, wz): the level's everywhere."""
    return np.full((*shape, band.groups), level // LEVELS_PER_CLASS, dtype=np.int32)


class TileWalk:
    """All slices of all passes of a tile, once, in the order of coding.

    Iterating gives each slice, and the mean (h, w, C) int32 that the prior predicts for it in steps of 1/128;
    its `index` must be set before the next one is asked for.

    Attributes:
        latent: (h, w, M) int32 in steps of 1/128, as far as the walk has come.
    """

    def __init__(self, coder: LatentCoder, z_hat: np.ndarray, shape: tuple[int, int], level: int) -> None:
        self._coder, self._z_hat, self._level = coder, z_hat, prior_level_of(level)
        self._whole = np.zeros((*whole(*shape), coder.channels), dtype=np.int32)
        # Where the grid reaches beyond the tile the latent stays zero.
        self.latent = self._whole[: shape[0], : shape[1]]

    def __iter__(self) -> Iterator[tuple[CodedSlice, np.ndarray]]:
        prior, level = self._coder.prior, self._level
        rows, columns = (side // 2 for side in self._whole.shape[:2])
        features = prior.hyper(self._z_hat, level)[:rows, :columns]
        phases = [self._whole[i::2, j::2] for i, j in PHASES]
        for p, place in enumerate(PASSES):
            inside = self.latent[place.places]
            if not inside.size:
                continue
            state = prior.open(p, features, phases[: place.maps], level)
            h, w = inside.shape[:2]
            state.hidden = np.ascontiguousarray(state.hidden[:h, :w])
            state.local = None if state.local is None else state.local[:h, :w]
            for n, piece in enumerate(prior.slices):
                mean, classes = prior.predict(n, state, level)
                part = CodedSlice(place, piece, classes)
                yield part, mean
                self._coder.settle(part, state, mean, inside[:, :, piece.channels])


def _look_up(bands: Sequence[CodedBand], index: Indices) -> np.ndarray:
    """Codewords (h, w, C) of the indices (h, w, G) of each band."""
    return np.concatenate([band.look_up(own) for band, own in zip(bands, index, strict=True)], axis=2)
