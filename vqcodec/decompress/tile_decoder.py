"""Segments -> pixels: the exact coder in front of g_s, both in integers.

    segments --per tile--> y_hat (integers) --g_s--> pixels

g_s runs over windows of the latent that overlap as far as it sees (`vqcodec.tiling`), so no seam exists.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vqcodec.decompress.blending import Blends
from vqcodec.decompress.latent_grid import LatentGrid, Segments
from vqcodec.tiling import (
    BLOCK,
    TRANSFORM_HALO,
    TRANSFORM_SIDE,
    Place,
    scaled,
    size,
    whole,
    windows,
    within,
)
from vqcodec.types import Region, TileProgress
from vqcodec.weights.loaded import LoadedModel


class TileDecoder:
    """The decoder's half of a model; safe to call from several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model
        self._blends = Blends(model)

    def latent(self, segments: Segments, *, width: int, height: int, level: int, tile: int) -> np.ndarray:
        """The first half of decoding: latent (h, w, M) int64 in steps of 1/128.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
        """
        grid = LatentGrid(self.model.coder, segments, _blocks(height, width), level, tile)
        return grid.window(whole(grid.shape))

    def decode(
        self,
        segments: Segments,
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
    ) -> np.ndarray:
        """Pixels (height, width, 3) uint8; arguments and errors are those of `parts`."""
        result = np.empty((height, width, 3), np.uint8)
        for place, pixels in self.parts(
            segments, width=width, height=height, level=level, tile=tile, realism=realism
        ):
            result[place] = pixels
        return result

    def parts(
        self,
        segments: Segments,
        *,
        width: int,
        height: int,
        level: int,
        tile: int,
        realism: float = 0.0,
        region: Region | None = None,
        progress: TileProgress | None = None,
    ) -> Iterator[tuple[Place, np.ndarray]]:
        """Rectangles of a picture, or of a region of it, as they are decoded, each with its pixels
        (h, w, 3) uint8.

        Args:
            segments: [tile][layer]; None stands for a layer that is missing, or for all layers of a tile that
                is drawn whole. Pixels of windows with no other tiles are zero.
            width, height: of the picture, in pixels.
            level: 0..252.
            tile: side of the tiles in pixels; 0 = the whole picture.
            region: a part within the picture; only the tiles that it needs are decoded.
            realism: 0 is the fidelity decoder, 1 the perceptual one; between, their weights are mixed.
            progress: told after every rectangle.

        Raises:
            CorruptData: a segment, or their number, is not what the picture needs.
            ModelNotFound: `realism` is not 0, and the model has no perceptual decoder.
        """
        g_s = self._blends.at(realism)
        grid = LatentGrid(self.model.coder, segments, _blocks(height, width), level, tile)
        x, y, wide, tall = region or (0, 0, width, height)
        asked = slice(y, y + tall), slice(x, x + wide)
        span = slice(y // BLOCK, -(-(y + tall) // BLOCK)), slice(x // BLOCK, -(-(x + wide) // BLOCK))
        pieces = windows(grid.shape, TRANSFORM_SIDE, TRANSFORM_HALO, span=span)

        def decoded() -> Iterator[tuple[Place, np.ndarray]]:
            for done, piece in enumerate(pieces, 1):
                shown = piece.scaled(BLOCK).clipped(asked)
                if grid.seen(piece.inner):
                    pixels = g_s(grid.window(piece.outer, np.float32), level, piece)
                    pixels = pixels[within(shown.inner, scaled(piece.inner, BLOCK))]
                else:
                    pixels = np.zeros((*size(shown.inner), 3), np.uint8)
                yield within(shown.inner, asked), pixels
                if progress is not None:
                    progress(done, len(pieces))

        return decoded()  # what is above is checked before a caller makes room for the picture


def _blocks(height: int, width: int) -> tuple[int, int]:
    return -(-height // BLOCK), -(-width // BLOCK)
