"""The latent of a file as its tiles give it: whole, or in windows of which only a few are in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vqcodec.entropy.tile_coder import LAYERS, LatentCoder
from vqcodec.errors import CorruptData
from vqcodec.model.blocks import BLOCK
from vqcodec.tiling import overlap, within


def tiles(rows: int, columns: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Latent tiles, row by row; `tile` in pixels, 0 = whole."""
    step = tile // BLOCK or max(rows, columns)
    for top in range(0, rows, step):
        for left in range(0, columns, step):
            yield slice(top, min(top + step, rows)), slice(left, min(left + step, columns))


class LatentGrid:
    """The latent of a file, decoded tile by tile as its windows are asked for, from top to bottom."""

    def __init__(
        self,
        coder: LatentCoder,
        segments: Sequence[Sequence[bytes | None]],
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
        if any(len(layers) != LAYERS for layers in segments):
            raise CorruptData(f"every tile must have {LAYERS} layers")
        self.shape, self._coder, self._level = shape, coder, level
        self._left = list(zip(places, segments, strict=True))
        self._decoded: list[tuple[tuple[slice, slice], np.ndarray]] = []

    def window(self, rows: slice, columns: slice, kind: npt.DTypeLike = np.int64) -> np.ndarray:
        """Latent (h, w, M) in steps of 1/128 as numbers of a kind; tiles that end above `rows` are forgotten.

        Raises:
            CorruptData: a segment does not decode.
        """
        self._decoded = [entry for entry in self._decoded if entry[0][0].stop > rows.start]
        waiting = []
        for place, layers in self._left:
            if all(map(overlap, place, (rows, columns))):
                size = (place[0].stop - place[0].start, place[1].stop - place[1].start)
                # Half the memory: latents are less than 2^31 steps by far.
                latent = self._coder.decode(layers, size, self._level).astype(np.int32)
                self._decoded.append((place, latent))
            else:
                waiting.append((place, layers))
        self._left = waiting
        result = np.zeros((rows.stop - rows.start, columns.stop - columns.start, self._coder.channels), kind)
        for place, latent in self._decoded:
            shared = tuple(map(overlap, place, (rows, columns)))
            if shared[0] and shared[1]:
                target = within(shared[0], rows), within(shared[1], columns)
                result[target] = latent[within(shared[0], place[0]), within(shared[1], place[1])]
        return result
