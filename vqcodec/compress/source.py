"""The pixels of a picture as windows for g_a, padded to whole blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.tiling import BLOCK, Place


@dataclass(frozen=True)
class PaddedPixels:
    """Pixels uint8 (height, width, 3), padded to whole blocks as windows of them are asked for."""

    pixels: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the latent."""
        height, width = self.pixels.shape[:2]
        return -(-height // BLOCK), -(-width // BLOCK)

    def window(self, place: Place) -> NDArray[np.uint8]:
        """The blocks of a place as (16h, 16w, 3).

        Behind its right and lower edge the picture is mirrored, or repeated where it is too small for that.
        """
        part = self.pixels
        for axis, blocks in enumerate(place):
            part = _padded(part, axis, blocks)
        return part


def _padded(pixels: NDArray[np.uint8], axis: int, blocks: slice) -> NDArray[np.uint8]:
    """The pixels of some blocks along an axis."""
    size, start, stop = pixels.shape[axis], BLOCK * blocks.start, BLOCK * blocks.stop
    if stop <= size:
        return pixels[start:stop] if axis == 0 else pixels[:, start:stop]
    index = np.arange(start, stop)
    mirrored = 2 * (size - 1) - index if size > -size % BLOCK else np.full_like(index, size - 1)
    return pixels.take(np.where(index < size, index, mirrored), axis)
