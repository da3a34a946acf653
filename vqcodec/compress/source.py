"""A picture on its way into the transforms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vqcodec.model.blocks import BLOCK

OVERLOAD = 50.0
"""Mean quantisation error of a picture, in nats per position, beyond which its codewords do not reach: at
level 0; it doubles every OVERLOAD_DOUBLES levels.

The development set has up to 82 at level 63, 141 at 126, 183 at 168, 198 at 189 and 401 at 252; stripes of 4
pixels have 74 at 156, 213 at 168 and 37,146 at 252, single-pixel checks 6,363 at 100. A photograph beyond it
would lose time, not quality.

Half of that limit, and twice this number, is too much as well where errors come to more nats than the rate:
with run 21's words those stripes have 141 of error at 168, 1.4 times their rate, and look worse than at 147.
No picture of the development set or Kodak has that: coarse ones and smooth ones may have more error than
rate, but less of it."""

OVERLOAD_DOUBLES = 81


@dataclass(frozen=True)
class Analysis:
    """One picture, ready to be encoded at any level; it is padded to whole blocks as its parts are asked for.

    Attributes:
        pixels: uint8 (height, width, 3).
        device: where the transforms run.
        errors: by level, what `SegmentCodec.encode` found: w |y - y_hat|^2 in nats per latent position.
        rates: by level, the segments' sizes alike.
    """

    pixels: np.ndarray
    device: str = "cpu"
    errors: dict[int, float] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the latent."""
        return -(-self.height // BLOCK), -(-self.width // BLOCK)

    @property
    def x(self) -> Tensor:
        """All of it as (1, 3, 16h, 16w) in [0, 1]."""
        return self.window(slice(0, self.shape[0]), slice(0, self.shape[1]))

    def overloaded(self, level: int) -> bool:
        """Did codewords not reach where the picture's latent lies, when it was encoded at `level`?"""
        limit = OVERLOAD * 2 ** (level / OVERLOAD_DOUBLES)
        error, rate = self.errors.get(level, 0.0), self.rates.get(level, 0.0)
        return error > limit or error > max(2 * OVERLOAD, limit / 2, rate)

    def window(self, rows: slice, columns: slice) -> Tensor:
        """The blocks of some rows and columns as (1, 3, ., .) in [0, 1] on the device.

        Behind its right and lower edge the picture is mirrored, or repeated where it is too small for that.
        """
        part = _padded(_padded(self.pixels, 0, rows), 1, columns)
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
