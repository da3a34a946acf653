"""Pixels -> segments: g_a (torch) in front of the exact coder (numpy).

    pixels --g_a, gain--> y --per tile--> z, then pass by pass argmin of w |r - c|^2 - ln p --> segments

Tiles cut the latent and the coding contexts. g_a runs over windows of the picture that overlap as far as it
sees (`vqcodec.tiling`), so no seam exists.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from vqcodec.compress.encoded import Encoded
from vqcodec.compress.feedback import EFFORT_STEPS, PARTS, Feedback
from vqcodec.compress.refine import Refiner
from vqcodec.compress.search import SCALE, TileSearch, TileSegments, rate_in_nats
from vqcodec.compress.source import PaddedPixels
from vqcodec.model.codebook import SLOPE
from vqcodec.model.precision import transforms_in
from vqcodec.tiling import (
    BLOCK,
    TRANSFORM_HALO,
    TRANSFORM_SIDE,
    Place,
    at,
    batches,
    size,
    tiles,
    windows,
    within,
)
from vqcodec.types import TileProgress
from vqcodec.weights.loaded import LoadedModel


class TileEncoder:
    """The encoder's half of a model; safe to call from several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self._searches: dict[bool, TileSearch] = {}
        self._refiner: Refiner | None = None
        self._lock = threading.Lock()

    @torch.inference_mode()
    def encode(
        self, pixels: np.ndarray, level: int, tile: int, effort: int = 1, progress: TileProgress | None = None
    ) -> Encoded:
        """Code pixels (H, W, 3) uint8 at `level` 0..252; `tile` is 0 (whole) or a multiple of 64.

        Args:
            effort: 1 (greedy) to 9, see `vqcodec.compress.feedback` and `vqcodec.compress.refine`.
            progress: told after every tile of every iteration.
        """
        source, t, parts = PaddedPixels(pixels, self.model.device), self.model.t(level), PARTS.get(effort, ())
        search = self._search(greedy=effort not in EFFORT_STEPS)
        count = (1 + len(parts)) * sum(1 for _ in tiles(*source.shape, tile))
        done = itertools.count(1)

        def report() -> None:
            if progress is not None:
                progress(next(done), count)

        coded, error = TileSegments(), 0.0
        for place, target, y in self._latents(source, t, tile, effort):
            code = functools.partial(self.code, search, place, level, tile, report)
            if parts:
                feedback = Feedback(self.model.transforms, source, t, self.model.bf16)
                segments, y_hat = feedback.search(code, target, y, parts)
            else:
                segments, y_hat = code(target, y)
            coded |= segments
            error += float((y - y_hat).square().sum())
        positions = math.prod(source.shape)
        return Encoded(
            level,
            [coded[corner] for corner in sorted(coded)],
            SLOPE * error / positions,
            rate_in_nats(coded) / positions,
        )

    def _latents(
        self, source: PaddedPixels, t: Tensor, tile: int, effort: int
    ) -> Iterator[tuple[Place, Tensor, Tensor]]:
        """(place, target, y) of parts of the latent that hold whole tiles, or a whole search."""
        align = tile // BLOCK if tile and effort == 1 else max(source.shape)
        sides = max(TRANSFORM_SIDE, align), max(TRANSFORM_SIDE * self.model.batch, align)
        for part in windows(source.shape, sides, align=align):
            y = self.analyse(source, t, part.inner)
            target = y
            if effort in EFFORT_STEPS:
                target = self._refine().refine(source.x, y, t, EFFORT_STEPS[effort])
            yield part.inner, target, y

    def analyse(self, source: PaddedPixels, t: Tensor, place: Place) -> Tensor:
        """y (1, M, h, w) of a part of the latent, by windows."""
        model = self.model
        pieces = windows(source.shape, TRANSFORM_SIDE, TRANSFORM_HALO, span=place)
        part = None
        for batch in batches(pieces, model.batch):
            x = torch.cat([source.window(piece.outer) for piece in batch])
            with transforms_in(model.bf16, model.device):
                ys = model.transforms.analyse(x, t.expand(len(batch)))
            if len(pieces) == 1:
                return pieces[0].crop(ys)
            if part is None:
                part = ys.new_empty((1, ys.shape[1], *size(place)))
            for piece, y in zip(batch, ys, strict=True):
                part[at(within(piece.inner, place))] = piece.crop(y)
        assert part is not None
        return part

    def code(
        self,
        search: TileSearch,
        place: Place,
        level: int,
        tile: int,
        report: Callable[[], None],
        target: Tensor,
        y: Tensor,
    ) -> tuple[TileSegments, Tensor]:
        """Code a part of the latent that holds whole tiles, tile by tile.

        Returns:
            The segments, and the latent that they decode to, (1, M, h, w) as `target` and `y`.
        """
        coded, y_hat = TileSegments(), torch.empty_like(y)
        for rows, columns in tiles(*size(place), tile):
            here = at((rows, columns))
            segments, latent = search.encode(_to_numpy(target[here]), _to_numpy(y[here]), level)
            coded[place[0].start + rows.start, place[1].start + columns.start] = segments
            y_hat[here] = torch.from_numpy(latent.transpose(2, 0, 1).astype(np.float32) / SCALE)
            report()
        return coded, y_hat

    def _hyper_latent(self, y: np.ndarray) -> np.ndarray:
        """h_a from numpy to numpy, see `TileSearch`."""
        given = torch.from_numpy(y).permute(2, 0, 1)[None].to(self.model.device)
        return _to_numpy(self.model.transforms.hyper_latent(given))

    def _refine(self) -> Refiner:
        # Built on first use: most encodes do without.
        with self._lock:
            if self._refiner is None:
                self._refiner = Refiner(self.model)
            return self._refiner

    def _search(self, greedy: bool) -> TileSearch:
        # Built on first use: decoding needs none of it.
        with self._lock:
            if greedy not in self._searches:
                model = self.model
                self._searches[greedy] = TileSearch(model.coder, self._hyper_latent, greedy)
            return self._searches[greedy]


def _to_numpy(x: Tensor) -> np.ndarray:
    """(1, C, h, w) on any device -> (h, w, C) float32."""
    return np.asarray(x[0].permute(1, 2, 0).to("cpu", torch.float32))
