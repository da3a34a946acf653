"""What coding a tile in each way costs: its bits, and its errors at the price that the level puts on them.

    J = lambda 255^2 MSE + bits per pixel,

as in training, here summed over a tile's pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vqcodec.image.colour import mean_of_channels
from vqcodec.image.webp import Mask, Pixels, lossless_webp, lossy_webp, read_webp
from vqcodec.types import LEVEL_MAX, lambda_at

QUALITY_STEPS = (16, 6)
"""WebP's quality is searched by these steps."""
CLEAR = 0.7
"""Another quality hardly lowers the cost of a lossy file to less than this share of it."""


def squared_error(original: Pixels, decoded: Pixels, gray: bool) -> float:
    """Sum over pixels (H, W, 3) of the mean squared error of their samples."""
    if gray:
        return _squares(original[:, :, 0], mean_of_channels(decoded))
    return _squares(original, decoded) / 3


def _squares(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    difference = a.astype(np.int32) - b
    return float(np.square(difference, out=difference).sum(dtype=np.int64))


@dataclass(frozen=True)
class Choice:
    """One way to code a tile.

    Attributes:
        size: bytes of its segments.
        error: as of `squared_error`.
        webp: its drawn segment, not padded; empty if it has none.
        mask: its drawn pixels; None if the networks have no part in it.
    """

    size: int
    error: float
    webp: bytes = b""
    mask: Mask | None = None

    @property
    def kind(self) -> str:
        """Which coders have a part in it: "networks", "mixed", "exact" or "lossy", as a word."""
        if self.mask is not None:
            return "mixed" if self.webp else "networks"
        return "lossy" if self.error else "exact"

    def cost(self, level: int) -> float:
        """J summed, in bits."""
        return 8 * self.size + lambda_at(level) * self.error


@dataclass
class WebpTile:
    """A tile by WebP in several ways, each made once.

    Attributes:
        mask: its drawn pixels.
        slow: take longer for smaller lossless files.
    """

    pixels: Pixels
    mask: Mask
    gray: bool
    slow: bool = False
    _lossy: dict[int, Choice] = field(default_factory=dict)
    _made: dict[str, Choice] = field(default_factory=dict)
    _quick: int | None = None

    def lossless(self) -> Choice:
        """All of it, exact."""
        return self._once("lossless", lambda speed: lossless_webp(self.pixels, speed=speed), None)

    def masked(self) -> Choice:
        """What is drawn, exact; the size and error of the rest are not counted."""
        return self._once(
            "masked", lambda speed: lossless_webp(self.pixels, self.mask, speed=speed), self.mask
        )

    def at_most(self) -> int:
        """Bytes that the lossless file hardly needs more of, quickly."""
        if "lossless" in self._made:
            return self.lossless().size
        if self._quick is None:
            self._quick = len(lossless_webp(self.pixels, speed="quick"))
        return self._quick

    def lossy(self, level: int, enough: float = 0.0) -> Choice:
        """The lossy file of the lowest cost at a level.

        Args:
            enough: a cost that another way has; where the file can hardly beat it, the search stops.
        """
        best = min(95, max(5, round(level * 100 / LEVEL_MAX)))
        if self.lossy_at(best).cost(level) * CLEAR > enough > 0:
            return self.lossy_at(best)
        for step in QUALITY_STEPS:
            while True:
                near = (max(best - step, 0), min(best + step, 100))
                better = min(near, key=lambda q: self.lossy_at(q).cost(level))
                if self.lossy_at(better).cost(level) >= self.lossy_at(best).cost(level):
                    break
                best = better
        return self.lossy_at(best)

    def lossy_at(self, quality: int) -> Choice:
        """The lossy file of a WebP quality 0 to 100."""
        if quality not in self._lossy:
            data = lossy_webp(self.pixels, quality)
            error = squared_error(self.pixels, read_webp(data)[0], self.gray)
            self._lossy[quality] = Choice(len(data), error, data)
        return self._lossy[quality]

    def _once(self, name: str, make: Callable[[str], bytes], mask: Mask | None) -> Choice:
        if name not in self._made:
            data = min((make(speed) for speed in (("usual", "slow") if self.slow else ("usual",))), key=len)
            self._made[name] = Choice(len(data), 0.0, data, mask)
        return self._made[name]
