"""The encoder's greedy choice of codewords, tile by tile: argmin of w |r - c|^2 - ln p, pass by pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vqcodec.entropy.class_offsets import ClassOffsets
from vqcodec.entropy.tables import nats_from_counts
from vqcodec.entropy.tile_coder import CodedSlice, LatentCoder, hyper_classes
from vqcodec.model.codebook import SLOPE, greedy_slope
from vqcodec.model.integer_conv import HYPER_STEP, VALUE_STEP
from vqcodec.model.vqvae import Transforms

SCALE = round(1 / VALUE_STEP)
"""Steps of the integer latent in one of the real one."""

TileSegments = dict[tuple[int, int], list[bytes]]
"""The segments of tiles, by the row and column of the latent at which a tile begins."""


def rate_in_nats(coded: TileSegments) -> float:
    """Size of segments in nats, as errors are counted."""
    return 8 * math.log(2) * sum(len(segment) for layers in coded.values() for segment in layers)


class BandSearch:
    """argmin of w |r - c|^2 - ln p over one band's words, for all groups and positions at once."""

    def __init__(
        self, words: np.ndarray, counts: np.ndarray, step: float, device: str, slope: float = SLOPE
    ) -> None:
        """words (G, K, d) in steps of `step`, counts (G * classes, K) of their tables, slope the price w."""
        groups, count, _ = words.shape
        real = torch.from_numpy(words).to(device, torch.float32) * step
        self.words = (-2 * slope * real).transpose(1, 2).contiguous()
        nats = torch.from_numpy(nats_from_counts(counts)).to(device).reshape(groups, -1, count)
        self.cost = (nats + slope * real.square().sum(-1)[:, None]).flatten(0, 1)
        self.first = torch.arange(groups, device=device)[:, None] * nats.shape[1]

    def __call__(self, residual: Tensor, classes: Tensor) -> np.ndarray:
        """residual (h, w, d*G) and classes (h, w, G) -> indices (h, w, G) int64; ties to the lowest."""
        h, w, _ = residual.shape
        groups = self.words.shape[0]
        r = residual.reshape(h * w, -1, groups).permute(2, 0, 1)
        table = (self.first + classes.reshape(h * w, groups).T).reshape(-1)
        cost = torch.bmm(r, self.words)
        cost.add_(self.cost.index_select(0, table).view_as(cost))
        # numpy's argmin is several times faster than torch's on a CPU; both give the first minimum.
        index = cost.numpy().argmin(-1) if cost.device.type == "cpu" else cost.argmin(-1).cpu().numpy()
        return index.T.reshape(h, w, groups)

    def price(self, index: Tensor, classes: Tensor) -> Tensor:
        """Nats (G,) of indices (G, n) in classes (G, n), and what depends on the indices alone."""
        return self.cost[(self.first + classes), index].sum(1)


class OffsetSearch:
    """Chooses class offsets by what indices, chosen before, would cost after each of them."""

    def __init__(self, offsets: ClassOffsets, device: str) -> None:
        counts = offsets.table.counts[0]
        self.nats = torch.from_numpy(nats_from_counts(counts)).to(device)
        self.moved = torch.from_numpy(offsets.moved).to(device)
        self.zero, self.shape = offsets.zero, offsets.shape

    def __call__(self, search: BandSearch, index: Tensor, classes: Tensor) -> np.ndarray:
        """A band's index and classes (G, n) -> offsets (G,) int64, all zero where moving does not pay.

        One context number after the other, by all steps of each.
        """

        def cost(numbers: Tensor) -> Tensor:
            return search.price(index, self.moved[numbers[:, None], classes]) + self.nats[numbers]

        best = torch.full((len(index),), self.zero, device=index.device)
        least = cost(best)
        unmoved = least - self.nats[self.zero]
        stride = self.nats.numel()
        for size in self.shape:
            stride //= size
            rest = best - best // stride % size * stride
            for step in range(size):
                numbers = rest + step * stride
                found = cost(numbers)
                best, least = torch.where(found < least, numbers, best), torch.minimum(found, least)
        if least.sum() >= unmoved.sum():
            best.fill_(self.zero)
        return best.cpu().numpy()


class TileSearch:
    """Codes tiles of a latent with the codewords that are nearest to it for their price."""

    def __init__(self, coder: LatentCoder, transforms: Transforms, device: str, greedy: bool) -> None:
        """greedy: the latents come as g_a makes them, not from a search, see `GREEDY_SLOPES`."""
        self._coder, self._transforms, self._device = coder, transforms, device
        slopes = [greedy_slope(b.codewords.shape[2]) if greedy else SLOPE for b in coder.bands]
        self._searches = [
            BandSearch(b.codewords, b.tables.counts, VALUE_STEP, device, slope)
            for b, slope in zip(coder.bands, slopes, strict=True)
        ]
        self._hyper_searches = [
            BandSearch(b.codewords, b.tables.counts, HYPER_STEP, device) for b in coder.hyper_bands
        ]
        self._offset_search = OffsetSearch(coder.offsets, device)

    def encode(self, target: Tensor, y: Tensor, level: int) -> tuple[list[bytes], np.ndarray]:
        """Segments and latent (h, w, M) in integers of one tile.

        Args:
            target: what the codewords approximate, (1, M, h, w).
            y: what the hyper-latent is computed from, of the same shape.
            level: 0..252.
        """
        grid = target[0].permute(1, 2, 0)
        z_index = self._hyper_indices(y, level)
        walk, parts = self._coder.walk(z_index, (y.shape[2], y.shape[3]), level), []
        for part, mean in walk:
            mu = torch.from_numpy(mean.astype(np.float32)).to(self._device) / SCALE
            residual = grid[part.place.places][:, :, part.piece.channels] - mu
            part.index = self._nearest(part, residual)
            parts.append(part)
        offsets = [self._offsets(number, parts) for number in range(len(self._coder.bands))]
        return self._coder.write(z_index, offsets, parts, level), walk.latent

    def _hyper_indices(self, y: Tensor, level: int) -> list[np.ndarray]:
        """Indices (hz, wz, G) of each hyper band."""
        z = self._transforms.hyper_latent(y)[0].permute(1, 2, 0)
        z_index, start = [], 0
        for band, search in zip(self._coder.hyper_bands, self._hyper_searches, strict=True):
            classes = torch.from_numpy(hyper_classes(band, z.shape[:2], level)).to(z.device)
            z_index.append(search(z[:, :, start : start + band.channels], classes))
            start += band.channels
        return z_index

    def _nearest(self, part: CodedSlice, residual: Tensor) -> list[np.ndarray]:
        """Indices (h, w, G) of each band of a slice for its residual (h, w, C)."""
        classes = torch.from_numpy(part.classes).to(self._device)
        chosen, bands = [], part.piece.bands
        for band, search in zip(self._coder.bands[bands], self._searches[bands], strict=True):
            channels, groups = band.within(part.piece)
            chosen.append(search(residual[:, :, channels], classes[:, :, groups]))
        return chosen

    def _offsets(self, number: int, parts: Sequence[CodedSlice]) -> np.ndarray:
        """Class offsets (G,) of the band of this number, for what was chosen in all passes."""
        band, index, classes = self._coder.bands[number], [], []
        for part in parts:
            if part.index is not None and part.piece.bands.start <= number < part.piece.bands.stop:
                index.append(part.index[number - part.piece.bands.start])
                classes.append(part.classes[:, :, band.within(part.piece)[1]])

        def flat(arrays: list[np.ndarray]) -> Tensor:
            """(G, n)"""
            joined = np.concatenate([array.reshape(-1, band.groups) for array in arrays])
            return torch.from_numpy(np.ascontiguousarray(joined.T)).to(self._device)

        return self._offset_search(self._searches[number], flat(index), flat(classes))
