"""Pixels -> segments: g_a in front of the exact coder, both in integers.

    pixels --g_a--> y --per tile--> z, then pass by pass argmin of w |r - c|^2 - ln p --> segments

Tiles cut the latent and the coding contexts. g_a runs over windows of the picture that overlap as far as it
sees (`vqcodec.tiling`), so no seam exists. Latents are (h, w, M) float32. Only efforts above 1 import torch.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from vqcodec.compress.efforts import EFFORT_STEPS, PARTS
from vqcodec.compress.encoded import Encoded
from vqcodec.compress.search import SCALE, TileSearch, TileSegments, rate_in_nats
from vqcodec.compress.source import PaddedPixels
from vqcodec.entropy.steps import SLOPE
from vqcodec.tiling import (
    BLOCK,
    TRANSFORM_HALO,
    TRANSFORM_SIDE,
    Place,
    size,
    tiles,
    whole,
    windows,
    within,
)
from vqcodec.types import TileProgress
from vqcodec.weights.loaded import LoadedModel

if TYPE_CHECKING:
    from vqcodec.compress.refine import Refiner


class TileEncoder:
    """The encoder's half of a model; safe to call from several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self._searches: dict[bool, TileSearch] = {}
        self._refiner: Refiner | None = None
        self._lock = threading.Lock()

    def encode(
        self, pixels: np.ndarray, level: int, tile: int, effort: int = 1, progress: TileProgress | None = None
    ) -> Encoded:
        """Code pixels (H, W, 3) uint8 at `level` 0..252; `tile` is 0 (whole) or a multiple of 64.

        Args:
            effort: 1 (greedy) to 9, see `vqcodec.compress.feedback` and `vqcodec.compress.refine`.
            progress: told after every tile of every iteration.
        """
        source, parts = PaddedPixels(pixels), PARTS.get(effort, ())
        search = self._search(greedy=effort not in EFFORT_STEPS)
        count = (1 + len(parts)) * sum(1 for _ in tiles(*source.shape, tile))
        done = itertools.count(1)

        def report() -> None:
            if progress is not None:
                progress(next(done), count)

        coded, error = TileSegments(), 0.0
        for place, target, y in self._latents(source, level, tile, effort):
            code = functools.partial(self.code, search, place, level, tile, report)
            if parts:
                from vqcodec.compress.feedback import Feedback  # noqa: PLC0415  imports torch

                segments, y_hat = Feedback(self.model.networks, source, level, self.model.tune).search(
                    code, target, y, parts
                )
            else:
                segments, y_hat = code(target, y)
            coded |= segments
            np.subtract(y, y_hat, out=y_hat)
            error += float(np.square(y_hat, out=y_hat).sum())
        positions = math.prod(source.shape)
        return Encoded(
            level,
            [coded[corner] for corner in sorted(coded)],
            SLOPE * error / positions,
            rate_in_nats(coded) / positions,
        )

    def _latents(
        self, source: PaddedPixels, level: int, tile: int, effort: int
    ) -> Iterator[tuple[Place, np.ndarray, np.ndarray]]:
        """(place, target, y) of parts of the latent that hold whole tiles, or a whole search."""
        align = tile // BLOCK if tile and effort == 1 else max(source.shape)
        for part in windows(source.shape, max(TRANSFORM_SIDE, align), align=align):
            y = self.analyse(source, level, part.inner)
            target = y
            if effort in EFFORT_STEPS:
                pixels = source.window(whole(source.shape))
                target = self._refine().refine(pixels, y, level, EFFORT_STEPS[effort])
            yield part.inner, target, y

    def analyse(self, source: PaddedPixels, level: int, place: Place) -> np.ndarray:
        """y (h, w, M) of a part of the latent, by windows."""
        part = None
        for piece in windows(source.shape, TRANSFORM_SIDE, TRANSFORM_HALO, span=place):
            y = self.model.g_a(source.window(piece.outer), level, piece)
            if piece.inner == place:
                return y
            if part is None:
                part = np.empty((*size(place), y.shape[2]), np.float32)
            part[within(piece.inner, place)] = y
        assert part is not None
        return part

    def code(
        self,
        search: TileSearch,
        place: Place,
        level: int,
        tile: int,
        report: Callable[[], None],
        target: np.ndarray,
        y: np.ndarray,
    ) -> tuple[TileSegments, np.ndarray]:
        """Code a part of the latent that holds whole tiles, tile by tile.

        Returns:
            The segments, and the latent that they decode to, (h, w, M) as `target` and `y`.
        """
        coded, y_hat = TileSegments(), np.empty_like(y)
        for here in tiles(*size(place), tile):
            segments, latent = search.encode(target[here], y[here], level)
            coded[place[0].start + here[0].start, place[1].start + here[1].start] = segments
            np.divide(latent, np.float32(SCALE), out=y_hat[here], casting="unsafe")
            report()
        return coded, y_hat

    def _refine(self) -> Refiner:
        from vqcodec.compress.refine import Refiner  # noqa: PLC0415  imports torch

        # Built on first use: most encodes do without.
        with self._lock:
            if self._refiner is None:
                self._refiner = Refiner(self.model)
            return self._refiner

    def _search(self, greedy: bool) -> TileSearch:
        # Built on first use: decoding needs none of it.
        with self._lock:
            if greedy not in self._searches:
                self._searches[greedy] = TileSearch(self.model.coder, self.model.h_a, greedy)
            return self._searches[greedy]
