"""A picture at a half to a sixteenth of its size, by the linear shortcut of g_s alone.

    latent --linear, lapping--> opponent colour --means of squares--> --what the networks add to gray--> RGB

The networks of g_s draw detail that a reduced picture does not show, and take two thirds of a decode.
Approximate, unlike all else here: sums are those of numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.decompress.latent_grid import LatentGrid, Segments
from vqcodec.engine.restoration import OPPONENT
from vqcodec.engine.synthesis import Synthesis
from vqcodec.entropy.tile_coder import LatentCoder
from vqcodec.tiling import BLOCK, Window, scaled, windows, within

FACTORS = (16, 8, 4, 2)
SIDE = 64
"""Side, in blocks, of what is gone through at once."""
_GRAY_BLOCKS = 5
"""Side, in blocks, of the gray picture that the networks are asked about; the middle one sees no border."""


def reduced(
    coder: LatentCoder,
    g_s: Synthesis,
    segments: Segments,
    factor: int,
    *,
    width: int,
    height: int,
    level: int,
    tile: int,
) -> NDArray[np.uint8]:
    """Pixels (ceil(height / factor), ceil(width / factor), 3), means of squares of the whole picture's.

    Args:
        factor: one of `FACTORS`.
        segments: of all tiles, as for `TileDecoder.parts`.

    Raises:
        CorruptData: a segment, or their number, is not what the picture needs.
    """
    if factor not in FACTORS:
        raise ValueError(f"factor must be one of {FACTORS}, not {factor}")
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    grid = LatentGrid(coder, segments, (rows, columns), level, tile)
    side = BLOCK // factor
    result = np.empty((rows * side, columns * side, 3), np.uint8)
    shift = _of_gray(g_s, level, coder.channels)
    for piece in windows((rows, columns), SIDE, halo=1):
        u = g_s.shortcut(grid.window(piece.outer, np.float32), level)
        u = u[scaled(within(piece.inner, piece.outer), BLOCK)]
        h, w = u.shape[0] // factor, u.shape[1] // factor
        # Whole rows first: numpy is slow where few neighbours are added.
        sums = u.reshape(h, factor, -1).sum(1).reshape(h, w, factor, 3)
        rgb = sum(sums[:, :, i] for i in range(factor)) @ (OPPONENT * (255 / factor**2))
        result[scaled(piece.inner, side)] = np.rint((rgb + shift).clip(0, 255))
    return result[: -(-height // factor), : -(-width // factor)]


def _of_gray(g_s: Synthesis, level: int, channels: int) -> NDArray[np.float32]:
    """What g_s makes of a latent of zeros (3,): middle gray, and a constant that is the networks' alone."""
    sides = _GRAY_BLOCKS, _GRAY_BLOCKS
    middle = slice(_GRAY_BLOCKS // 2, _GRAY_BLOCKS // 2 + 1)
    whole = Window.of(sides)
    pixels = g_s(np.zeros((*sides, channels), np.float32), level, Window((middle, middle), whole.outer))
    return pixels.mean((0, 1), dtype=np.float32)
