"""What bands, groups and drawn blocks have of a file's bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vqcodec.entropy.codebooks import CodedBand
from vqcodec.entropy.tables import perplexity
from vqcodec.image.webp import Mask, Pixels
from vqcodec.tiling import BLOCK


@dataclass(frozen=True)
class GroupBits:
    """One group's share; `channels` are those of the latent, or of the hyper-latent for band z."""

    band: str
    group: int
    channels: tuple[int, ...]
    bits: float


class BandBits:
    """One band's share, to which indices are added.

    Attributes:
        name: "z0", ... of the hyper-latent, "y0", ... of the latent.
        group_bits: (G,) bits of each group.
        used: (G, K) how often each codeword was chosen.
        certain: how many of the indices were certain, and so not coded.
    """

    def __init__(self, name: str, band: CodedBand) -> None:
        self.name, self.coded = name, band
        self.groups, self.codewords, self.size = band.codewords.shape
        self.group_bits = np.zeros(self.groups)
        self.used = np.zeros((self.groups, self.codewords), dtype=np.int64)
        self.certain = 0

    @property
    def bits(self) -> float:
        """Ideal code length of its indices and class offsets."""
        return float(self.group_bits.sum())

    @property
    def symbols(self) -> int:
        """Number of its indices."""
        return int(self.used.sum())

    @property
    def perplexity(self) -> float:
        """That of the indices in the file, mean over the groups."""
        return float(perplexity(self.used).mean())

    def add(
        self,
        index: NDArray[np.int64],
        classes: NDArray[np.int64],
        moves: NDArray[np.int32] | None = None,
    ) -> NDArray[np.float64]:
        """Count indices (h, w, G) of these classes; returns their bits (h, w) at every position."""
        bits = self.coded.bits(index, classes, moves)
        if moves is not None:
            self.certain += int((self.coded.certain(classes) >= 0).sum())
        self.group_bits += bits.sum(axis=(0, 1))
        np.add.at(self.used, (np.arange(self.groups), index), 1)
        return bits.sum(axis=2)


def shares_of(pixels: Pixels, mask: Mask | None) -> NDArray[np.float64]:
    """What each block (h, w) has of the changes of colour among the drawn pixels (H, W, 3), in all 1."""
    change = np.zeros(pixels.shape[:2])
    change[:, 1:] += (pixels[:, 1:] != pixels[:, :-1]).any(2)
    change[1:] += (pixels[1:] != pixels[:-1]).any(2)
    change = (change + 1 / BLOCK**2) * (1 if mask is None else mask)
    height, width = pixels.shape[:2]
    blocks = np.zeros((-(-height // BLOCK), -(-width // BLOCK)))
    np.add.at(blocks, (np.arange(height)[:, None] // BLOCK, np.arange(width) // BLOCK), change)
    return blocks / max(blocks.sum(), 1e-9)
