"""The chunk of an alpha plane: deflated, or lossless WebP, whichever is smaller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import pack_alpha, unpack_alpha
from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX, LOSSLESS, check_drawn
from vqcodec.errors import CorruptData
from vqcodec.image.webp import MOST_PIXELS, lossless_webp, read_webp
from vqcodec.types import Chunk, Header

BY_WEBP = 2
"""The filter byte of WebP."""
_HOPEFUL = 4
"""A file that is made quickly, of more than a bit per pixel, is hardly more times as large as it could be."""


def alpha_chunk(alpha: NDArray[np.uint8]) -> Chunk:
    """The ALPH chunk of alpha (H, W)."""
    height, width = alpha.shape
    deflated = pack_alpha(alpha.tobytes(), width, height)
    if max(alpha.shape) > DRAWN_SIDE_MAX or alpha.size > MOST_PIXELS:
        return deflated
    gray = np.repeat(alpha[:, :, None], 3, 2)
    quick = len(lossless_webp(gray, speed="quick"))
    if quick > _HOPEFUL * len(deflated.data) and 8 * quick > alpha.size:
        return deflated
    webp = Chunk("ALPH", bytes((BY_WEBP,)) + lossless_webp(gray))
    return min(deflated, webp, key=lambda chunk: len(chunk.data))


def alpha_plane(chunk: Chunk, header: Header) -> NDArray[np.uint8]:
    """Alpha (H, W) of an ALPH chunk.

    Raises:
        CorruptData: an unknown filter, damaged data, or another size than the picture's.
    """
    if chunk.data[:1] != bytes((BY_WEBP,)):
        plane = np.frombuffer(unpack_alpha(chunk, header), np.uint8)
        return plane.reshape(header.height, header.width)
    data = chunk.data[1:]
    check_drawn(data, "chunk 'ALPH'", 1, (header.width, header.height), whole=True)
    if data[0] != LOSSLESS:
        raise CorruptData("chunk 'ALPH': not lossless")
    return read_webp(data, "chunk 'ALPH'")[0][:, :, 1]
