"""The latent of a file, decoded tile by tile as windows of it are asked for.

A tile without layers is drawn whole: its latent is 0, and nobody looks at its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vqcodec.entropy.tile_coder import LAYERS, LatentCoder
from vqcodec.errors import CorruptData
from vqcodec.tiling import Place, overlap, size, tiles, whole, within

Segments = Sequence[Sequence[bytes | None] | None]
"""[tile][layer]; None for a layer that is missing, or for all of a tile that is drawn whole."""
_MOST16 = np.iinfo(np.int16).max


class LatentGrid:
    """Windows of a latent, to be asked for from top to bottom; passed tiles are dropped from memory."""

    def __init__(
        self,
        coder: LatentCoder,
        segments: Segments,
        shape: tuple[int, int],
        level: int,
        tile: int,
    ) -> None:
        """shape: rows and columns of the latent.

        Raises:
            CorruptData: the number of tiles or layers is not what the picture needs.
        """
        places = list(tiles(*shape, tile))
        if len(places) != len(segments):
            raise CorruptData(f"{len(segments)} tiles where the picture has {len(places)}")
        if any(layers is not None and len(layers) != LAYERS for layers in segments):
            raise CorruptData(f"every tile must have {LAYERS} layers")
        self.shape, self._coder, self._level = shape, coder, level
        self._left = list(zip(places, segments, strict=True))
        self._seen = [place for place, layers in self._left if layers is not None]
        self._decoded: list[tuple[Place, np.ndarray]] = []

    def seen(self, place: Place) -> bool:
        """Whether any tile within a place is not drawn whole."""
        return any(overlap(tile, place) for tile in self._seen)

    def window(self, place: Place, kind: npt.DTypeLike = np.int64) -> np.ndarray:
        """Latent (h, w, M) of a place in steps of 1/128, of type `kind`; tiles that end above it are dropped.

        Raises:
            CorruptData: a segment does not decode.
        """
        self._decoded = [entry for entry in self._decoded if entry[0][0].stop > place[0].start]
        waiting = []
        for tile, layers in self._left:
            if overlap(tile, place):
                latent = self._coder.decode(layers or [None] * LAYERS, size(tile), self._level)
                if tile == place == whole(self.shape):  # there is nothing else to keep it for
                    return latent.astype(kind)
                # Half the memory of rows of tiles, for nearly all pictures.
                fits = max(latent.max(), -latent.min()) <= _MOST16
                self._decoded.append((tile, latent.astype(np.int16 if fits else np.int32)))
            else:
                waiting.append((tile, layers))
        self._left = waiting
        result = np.zeros((*size(place), self._coder.channels), kind)
        for tile, latent in self._decoded:
            shared = overlap(tile, place)
            if shared:
                result[within(shared, place)] = latent[within(shared, tile)]
        return result
