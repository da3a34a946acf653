"""The chunk of an alpha plane: deflated, or a lossless WebP file, whichever is smaller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vqcodec.bitstream import pack_alpha, unpack_alpha
from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX, check_drawn, pad_drawn
from vqcodec.errors import CorruptData
from vqcodec.image.webp import MOST_PIXELS, lossless_webp, read_webp
from vqcodec.types import Chunk, Header

BY_WEBP = 2
"""The filter byte of a WebP file."""
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
    webp = chunk.data[1:]
    check_drawn(pad_drawn(webp), "chunk 'ALPH'", 1, (header.width, header.height), whole=True)
    if len(webp) != 8 + int.from_bytes(webp[4:8], "little") or webp[12:16] != b"VP8L":
        raise CorruptData("chunk 'ALPH': not one lossless WebP file")
    return read_webp(webp, "chunk 'ALPH'")[0][:, :, 1]
