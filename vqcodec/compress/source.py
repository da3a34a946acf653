"""The pixels of a picture as windows for g_a, padded to whole blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqcodec.tiling import BLOCK, Place, whole


@dataclass(frozen=True)
class PaddedPixels:
    """Pixels uint8 (height, width, 3), padded to whole blocks as windows of them are asked for.

    Attributes:
        device: where windows are put.
    """

    pixels: np.ndarray
    device: str = "cpu"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the latent."""
        height, width = self.pixels.shape[:2]
        return -(-height // BLOCK), -(-width // BLOCK)

    @property
    def x(self) -> Tensor:
        """All of it, (1, 3, 16h, 16w) in [0, 1]."""
        return self.window(whole(self.shape))

    def window(self, place: Place) -> Tensor:
        """The blocks of a place as (1, 3, 16h, 16w) in [0, 1] on the device.

        Behind its right and lower edge the picture is mirrored, or repeated where it is too small for that.
        """
        part = self.pixels
        for axis, blocks in enumerate(place):
            part = _padded(part, axis, blocks)
        planes = np.ascontiguousarray(part.transpose(2, 0, 1))
        return torch.from_numpy(planes)[None].to(self.device).float().div_(255)


def _padded(pixels: np.ndarray, axis: int, blocks: slice) -> np.ndarray:
    """The pixels of some blocks along an axis."""
    size, start, stop = pixels.shape[axis], BLOCK * blocks.start, BLOCK * blocks.stop
    if stop <= size:
        return pixels[start:stop] if axis == 0 else pixels[:, start:stop]
    index = np.arange(start, stop)
    mirrored = 2 * (size - 1) - index if size > -size % BLOCK else np.full_like(index, size - 1)
    return pixels.take(np.where(index < size, index, mirrored), axis)
