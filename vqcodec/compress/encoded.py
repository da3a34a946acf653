"""What coding a picture at one level gave; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from vqcodec.bitstream.drawn import is_bare


@dataclass(frozen=True)
class Encoded:
    """A picture coded at one level.

    Attributes:
        level: 0..252.
        segments: [tile][layer]; both layers are empty where a tile is drawn and nothing else.
        error: w |y - y_hat|^2 of the quantiser, in nats per position of the latent.
        rate: size of the segments, alike.
        drawn: each tile's segment of the drawn layer, padded unless it is bare; nothing if no tile has one.
        tile: side of the tiles if it is another than was asked for.
    """

    level: int
    segments: list[list[bytes]]
    error: float
    rate: float
    drawn: list[bytes] = field(default_factory=list)
    tile: int | None = None

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(map(len, self.drawn)) + sum(len(segment) for layers in self.segments for segment in layers)

    @property
    def uses_networks(self) -> bool:
        """Whether a model is needed to decode it."""
        return any(layers[0] for layers in self.segments)

    @property
    def bare(self) -> bool:
        """Whether its file is bare: one lossless tile."""
        return is_bare(self.drawn, self.uses_networks)
