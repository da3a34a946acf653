"""Pixels <-> segments: transforms (torch) around the exact coder (numpy).

    encode:  pixels --g_a, gain--> y --per tile--> z, then pass by pass: argmin w|r-c|^2 - ln p --> segments
    decode:  segments --per tile--> y_hat (integers) --g_s--> pixels

Tiles cut the latent and the coding contexts. The transforms run over the whole picture, or over windows of it
that overlap as far as they see (`vqcodec.tiling`), so no seam exists.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vqcodec.compress.feedback import PARTS, Feedback
from vqcodec.compress.refine import EFFORT_STEPS, Refiner
from vqcodec.compress.search import SCALE, TiledSearch, TileSearch, TileSegments, rate_in_nats
from vqcodec.compress.source import Analysis
from vqcodec.decompress.blending import Blends
from vqcodec.decompress.latent_grid import LatentGrid, tiles
from vqcodec.entropy.tile_coder import LAYERS, LatentCoder
from vqcodec.errors import ModelNotFound
from vqcodec.model.blocks import BLOCK
from vqcodec.model.codebook import SLOPE
from vqcodec.model.precision import transforms_in
from vqcodec.tiling import SIDE, batches, cut, within
from vqcodec.types import LEVEL_MAX, Region, TileProgress
from vqcodec.weights.checkpoint import Weights, load_weights

if TYPE_CHECKING:
    from vqcodec.codec import Codec


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product on torch's threads; exact even in bfloat16, which holds every factor."""
    return torch.mm(torch.from_numpy(a), torch.from_numpy(b)).numpy()


class SegmentCodec:
    """One set of weights, ready to encode and decode; safe to call from several threads."""

    layers = LAYERS

    def __init__(self, weights: Weights, device: str = "cpu", batch: int = 1, bf16: bool = False) -> None:
        """batch: windows of a picture that go through a transform at once; bf16: see
        `vqcodec.model.precision`.
        """
        self.name = weights.name
        self.bitstream_id, self.decoder_id = weights.bitstream_id, weights.decoder_id
        self.realism_id = weights.realism_id
        self.device, self.batch, self.bf16 = device, batch, bf16
        self.transforms = weights.transforms
        self.coder = LatentCoder(weights.coding, _product)
        self._weights = weights
        self._blends = Blends(weights)
        self._searches: dict[bool, TileSearch] = {}
        self._refiner: Refiner | None = None
        self._lock = threading.Lock()
        self.timings: dict[str, float] = {}

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: str = "cpu", batch: int = 1, bf16: bool = False
    ) -> SegmentCodec:
        """Load a weights file.

        Raises:
            ModelNotFound: missing, damaged or of another format.
        """
        weights = load_weights(path, device)
        try:
            return cls(weights, device, batch, bf16)
        except (IndexError, KeyError, ValueError) as error:
            raise ModelNotFound(f"{path}: unusable coding arrays: {error}") from error

    # -- encoding ------------------------------------------------------------------------------
    def analyse(self, pixels: np.ndarray) -> Analysis:
        """Take over pixels (H, W, 3) uint8. The transforms depend on the level, so `encode` runs them."""
        return Analysis(pixels, self.device)

    @torch.inference_mode()
    def encode(
        self,
        analysis: Analysis,
        level: int,
        tile: int,
        effort: int = 1,
        progress: TileProgress | None = None,
    ) -> list[list[bytes]]:
        """Segments [tile][layer] at `level` 0..252; `tile` is 0 (whole) or a multiple of 64.

        Args:
            effort: 1 (greedy) to 9, see `vqcodec.compress.feedback` and `vqcodec.compress.refine`.
            progress: told after every tile of every try.
        """
        t = torch.tensor([level / LEVEL_MAX], device=self.device)
        timings: dict[str, float] = defaultdict(float)
        parts = PARTS.get(effort, ())
        search = self._searcher(greedy=effort not in EFFORT_STEPS)
        count = (1 + len(parts)) * sum(1 for _ in tiles(*analysis.shape, tile))
        code = TiledSearch(search, level, tile, progress, count)
        coded, error = TileSegments(), 0.0
        for top, left, target, y in self._latents(analysis, t, tile, effort, timings):
            begun = time.perf_counter() - code.seconds
            if parts:
                look = Feedback(self.transforms, analysis, t, self.bf16)
                found, y_hat = look.search(code, target, y, parts)
                timings["search"] += time.perf_counter() - code.seconds - begun
            else:
                found, y_hat = code(target, y)
            coded |= {(top + row, left + column): segments for (row, column), segments in found.items()}
            error += float((y - y_hat).square().sum())
        timings["coding"] = code.seconds
        analysis.errors[level] = SLOPE * error / math.prod(analysis.shape)
        analysis.rates[level] = rate_in_nats(coded) / math.prod(analysis.shape)
        self.timings = dict(timings)
        return [coded[place] for place in sorted(coded)]

    def _latents(
        self, analysis: Analysis, t: Tensor, tile: int, effort: int, timings: dict[str, float]
    ) -> Iterator[tuple[int, int, Tensor, Tensor]]:
        """(top, left, target, y) of parts of the latent that hold whole tiles, or a whole search."""
        height, width = analysis.shape
        unit = tile // BLOCK if tile and effort == 1 else max(height, width)
        for rows, _ in cut(height, max(SIDE, unit), unit):
            for columns, _ in cut(width, max(SIDE * self.batch, unit), unit):
                begun = time.perf_counter()
                y = self._analysed(analysis, t, rows, columns)
                timings["analysis"] += time.perf_counter() - begun
                target = y
                if effort in EFFORT_STEPS:
                    begun = time.perf_counter()
                    target = self._refine().refine(analysis.x, y, t, effort)
                    timings["search"] += time.perf_counter() - begun
                yield rows.start, columns.start, target, y

    def _analysed(self, analysis: Analysis, t: Tensor, rows: slice, columns: slice) -> Tensor:
        """g_a for a part of the latent (1, M, h, w), by windows."""
        part = None
        for upright, tall in cut(analysis.shape[0], SIDE, span=rows):
            for batch in batches(cut(analysis.shape[1], SIDE, span=columns), self.batch):
                x = torch.cat([analysis.window(tall, wide) for _, wide in batch])
                with transforms_in(self.bf16, self.device):
                    ys = self.transforms.analyse(x, t.expand(len(batch)))
                for (across, wide), found in zip(batch, ys, strict=True):
                    y = found[None, :, within(upright, tall), within(across, wide)]
                    if (upright, across) == (rows, columns):
                        return y
                    if part is None:
                        size = rows.stop - rows.start, columns.stop - columns.start
                        part = y.new_empty((*y.shape[:2], *size))
                    part[:, :, within(upright, rows), within(across, columns)] = y
        assert part is not None
        return part

    def overloaded(self, analysis: Analysis, level: int) -> bool:
        """Did codewords not reach where the picture's latent lies, when it was encoded at `level`?"""
        return analysis.overloaded(level)

    def _refine(self) -> Refiner:
        # Built on first use: most encodes do without.
        with self._lock:
            if self._refiner is None:
                self._refiner = Refiner(self._weights, self.device, self.bf16)
            return self._refiner

    def _searcher(self, greedy: bool) -> TileSearch:
        # Built on first use: decoding needs none of it.
        with self._lock:
            if greedy not in self._searches:
                self._searches[greedy] = TileSearch(self.coder, self.transforms, self.device, greedy)
            return self._searches[greedy]

    # -- decoding ------------------------------------------------------------------------------
    def decode_latent(
        self, segments: Sequence[Sequence[bytes | None]], *, width: int, height: int, level: int, tile: int
    ) -> np.ndarray:
        """The exact half of decoding: latent (h, w, M) int64 in steps of 1/128.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
        """
        grid = LatentGrid(self.coder, segments, (-(-height // BLOCK), -(-width // BLOCK)), level, tile)
        return grid.window(slice(0, grid.shape[0]), slice(0, grid.shape[1]))

    @torch.inference_mode()
    def decode(
        self,
        segments: Sequence[Sequence[bytes | None]],
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
        region: Region | None = None,
        progress: TileProgress | None = None,
    ) -> np.ndarray:
        """Pixels (H, W, 3) uint8. None stands for a layer that is missing.

        Args:
            region: a part within the picture; only the tiles that it needs are decoded.
            realism: 0 is the fidelity decoder, 1 the perceptual one; between, their weights are mixed.
            progress: told after every window.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
        """
        g_s = self._blends.at(realism)
        grid = LatentGrid(self.coder, segments, (-(-height // BLOCK), -(-width // BLOCK)), level, tile)
        t = torch.tensor([level / LEVEL_MAX], device=self.device)
        gain = self.transforms.gain(t)
        x, y, wide, tall = region or (0, 0, width, height)
        result = np.empty((tall, wide, 3), np.uint8)
        timings = {"coding": 0.0, "synthesis": 0.0}
        down = cut(grid.shape[0], span=slice(y // BLOCK, -(-(y + tall) // BLOCK)))
        across = cut(grid.shape[1], span=slice(x // BLOCK, -(-(x + wide) // BLOCK)))
        done = 0
        for rows, high in down:
            for batch in batches(across, self.batch):
                begun = time.perf_counter()
                latent = np.stack([grid.window(high, broad, np.float32) for _, broad in batch])
                decoded = time.perf_counter()
                y_hat = torch.from_numpy(np.ascontiguousarray(latent.transpose(0, 3, 1, 2)))
                with transforms_in(self.bf16, self.device):
                    pictures = g_s(y_hat.to(self.device) / SCALE / gain, t.expand(len(batch)))
                for (columns, broad), picture in zip(batch, pictures, strict=True):
                    # What of the window's pixels is asked for: without the halo, the padding, and the rest.
                    here = [
                        slice(max(BLOCK * inner.start, first), min(BLOCK * inner.stop, first + size))
                        for inner, first, size in ((rows, y, tall), (columns, x, wide))
                    ]
                    seen = [
                        within(part, slice(BLOCK * outer.start, 0))
                        for part, outer in zip(here, (high, broad), strict=True)
                    ]
                    pixels = picture[:, seen[0], seen[1]].clamp(0, 1).mul_(255).round_().to(torch.uint8)
                    target = within(here[0], slice(y, 0)), within(here[1], slice(x, 0))
                    result[target] = pixels.permute(1, 2, 0).cpu().numpy()
                done += len(batch)
                timings["coding"] += decoded - begun
                timings["synthesis"] += time.perf_counter() - decoded
                if progress is not None:
                    progress(done, len(down) * len(across))
        self.timings = timings
        return result


def inside(codec: Codec) -> SegmentCodec:
    """What a codec that was loaded from weights is made of, for what looks into it.

    Raises:
        TypeError: it is made of something else.
    """
    if not isinstance(codec.segments, SegmentCodec):
        raise TypeError("only a codec of a weights file can be looked into")
    return codec.segments
