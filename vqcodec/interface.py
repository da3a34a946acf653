"""The neural and entropy half of the codec, as the byte half sees it; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vqcodec.types import Region, TileProgress


class Segments(Protocol):
    """What `vqcodec.segments.SegmentCodec` is to `vqcodec.codec`."""

    name: str
    bitstream_id: bytes
    decoder_id: bytes
    realism_id: bytes
    layers: int

    def analyse(self, pixels: NDArray[np.uint8]) -> Any:
        """Run everything that does not depend on the level; pixels uint8 (H, W, 3)."""

    def encode(
        self, analysis: Any, level: int, tile: int, effort: int = 1, progress: TileProgress | None = None
    ) -> list[list[bytes]]:
        """Return [tile][layer] segments."""

    def overloaded(self, analysis: Any, level: int) -> bool:
        """Was the picture, encoded at `level`, beyond the reach of the codewords?"""

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
    ) -> NDArray[np.uint8]:
        """Return uint8 (H, W, 3) of the picture, or of a part that lies within it."""
