"""The encoder's greedy choice of codewords, tile by tile: argmin of w |r - c|^2 - ln p, pass by pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from vqcodec.compress.codeword_search import BandSearch, OffsetSearch
from vqcodec.entropy.steps import HYPER_STEP, SLOPE, VALUE_STEP, greedy_slope
from vqcodec.entropy.tile_coder import CodedSlice, LatentCoder, hyper_classes

SCALE = round(1 / VALUE_STEP)
"""Steps of the integer latent in one of the real one."""

TileSegments = dict[tuple[int, int], list[bytes]]
"""The segments of tiles, by the row and column of the latent at which a tile begins."""


def rate_in_nats(coded: TileSegments) -> float:
    """Size of segments in nats, as errors are counted."""
    return 8 * math.log(2) * sum(len(segment) for layers in coded.values() for segment in layers)


class TileSearch:
    """Codes tiles of a latent with the codewords that are nearest to it for their price."""

    def __init__(
        self, coder: LatentCoder, hyper_latent: Callable[[np.ndarray], np.ndarray], greedy: bool
    ) -> None:
        """Prepare a search.

        Args:
            hyper_latent: h_a, from a latent (h, w, M) to z (hz, wz, Z), both float32.
            greedy: the latents come as g_a makes them, not from a search, see `vqcodec.entropy.steps`.
        """
        self._coder, self._hyper_latent = coder, hyper_latent
        slopes = [greedy_slope(b.codewords.shape[2]) if greedy else SLOPE for b in coder.bands]
        self._searches = [
            BandSearch(b.codewords, b.tables, VALUE_STEP, slope, certain=True)
            for b, slope in zip(coder.bands, slopes, strict=True)
        ]
        self._hyper_searches = [BandSearch(b.codewords, b.tables, HYPER_STEP) for b in coder.hyper_bands]
        self._offset_search = OffsetSearch(coder.offsets)

    def encode(self, target: np.ndarray, y: np.ndarray, level: int) -> tuple[list[bytes], np.ndarray]:
        """Segments and latent (h, w, M) in integers of one tile.

        Args:
            target: what the codewords approximate, (h, w, M) float32.
            y: what the hyper-latent is computed from, of the same shape.
            level: 0..252.
        """
        grid = np.ascontiguousarray(target, dtype=np.float32)
        z_index = self._hyper_indices(y, level)
        walk, parts = self._coder.walk(z_index, grid.shape[:2], level), []
        for part, mean in walk:
            mu = mean.astype(np.float32) / np.float32(SCALE)
            residual = grid[part.place.places][:, :, part.piece.channels] - mu
            part.index = self._nearest(part, residual)
            parts.append(part)
        offsets = [self._offsets(number, parts) for number in range(len(self._coder.bands))]
        return self._coder.write(z_index, offsets, parts, level), walk.latent

    def _hyper_indices(self, y: np.ndarray, level: int) -> list[np.ndarray]:
        """Indices (hz, wz, G) of each hyper band."""
        z = np.ascontiguousarray(self._hyper_latent(y), dtype=np.float32)
        z_index, start = [], 0
        for band, search in zip(self._coder.hyper_bands, self._hyper_searches, strict=True):
            classes = hyper_classes(band, z.shape[:2], level)
            z_index.append(search(z[:, :, start : start + band.channels], classes))
            start += band.channels
        return z_index

    def _nearest(self, part: CodedSlice, residual: np.ndarray) -> list[np.ndarray]:
        """Indices (h, w, G) of each band of a slice for its residual (h, w, C)."""
        chosen, bands = [], part.piece.bands
        for band, search in zip(self._coder.bands[bands], self._searches[bands], strict=True):
            channels, groups = band.within(part.piece)
            chosen.append(search(residual[:, :, channels], part.classes[:, :, groups]))
        return chosen

    def _offsets(self, number: int, parts: Sequence[CodedSlice]) -> np.ndarray:
        """Class offsets (G,) of the band of this number, for what was chosen in all passes."""
        band, index, classes = self._coder.bands[number], [], []
        for part in parts:
            if part.index is not None and part.piece.bands.start <= number < part.piece.bands.stop:
                index.append(part.index[number - part.piece.bands.start].reshape(-1, band.groups))
                groups = band.within(part.piece)[1]
                classes.append(part.classes[:, :, groups].reshape(-1, band.groups))
        return self._offset_search(self._searches[number], np.concatenate(index), np.concatenate(classes))
