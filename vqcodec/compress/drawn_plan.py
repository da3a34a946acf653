"""Which coder has which part of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqcodec.bitstream.drawn import is_bare, pad_drawn
from vqcodec.compress.encoded import Encoded
from vqcodec.compress.tile_choice import Choice

if TYPE_CHECKING:
    from vqcodec.compress.drawn_encoder import DrawnEncoder


@dataclass(frozen=True)
class Plan:
    """How each tile is coded at one level, and at others if that is followed there.

    Attributes:
        coder: what made it, and can follow it.
        tiles: the choice for each; sizes and errors are those at the level.
        plain, mixed: the networks' coding, at that level, of the picture, and of it with all that is drawn
            filled, where these were made to compare.
    """

    coder: DrawnEncoder
    level: int
    tiles: Sequence[Choice]
    plain: Encoded | None = None
    mixed: Encoded | None = None

    @property
    def kinds(self) -> list[str]:
        """Which coders have a part in each tile."""
        return [choice.kind for choice in self.tiles]

    @property
    def fixed(self) -> int:
        """Bytes that are the same at every level."""
        drawn = zip(self.tiles, drawn_segments(self.tiles), strict=True)
        return sum(len(segment) for choice, segment in drawn if choice.kind in ("mixed", "exact"))


def drawn_segments(tiles: Sequence[Choice]) -> list[bytes]:
    """The segments of the drawn layer: image data in whole words, but as it is where the file is bare."""
    data = [choice.webp for choice in tiles]
    return data if is_bare(data, any(c.mask is not None for c in tiles)) else list(map(pad_drawn, data))
