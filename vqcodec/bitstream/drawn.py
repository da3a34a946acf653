"""Segments of the drawn layer: the image data of a WebP file each, whose start is checked before anything
decodes it: a decoder of WebP believes what it says of its size. Here that is compared with the tile's.

    file     RIFF, u32 size, WEBP, VP8L or VP8, u32 size, image data, [padding]     all but the data is known
"""

from __future__ import annotations

from collections.abc import Sequence

from vqcodec.bitstream.fields import where
from vqcodec.errors import CorruptData

DRAWN_SIDE_MAX = 16_383
"""Longest side of a WebP file, so that tiles beyond it cannot be drawn."""
NO_MODEL = bytes(8)
"""The bitstream_id of a file that is drawn everywhere: no model's."""
_FRAME = 20
"""Bytes before the image data of a simple WebP file."""
LOSSLESS = 0x2F
"""First byte of `VP8L`; that of a key frame of `VP8 ` is even."""


def without_frame(webp: bytes) -> bytes:
    """The image data of a simple WebP file."""
    return webp[_FRAME : _FRAME + int.from_bytes(webp[16:20], "little")]


def with_frame(data: bytes) -> bytes:
    """A WebP file of image data, which zeros may follow."""
    kind = b"VP8L" if data[0] == LOSSLESS else b"VP8 "
    chunk = kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


def pad_drawn(data: bytes, word: int = 4) -> bytes:
    """Image data as a segment: zeros follow to a whole number of words."""
    return data + bytes(-len(data) % word)


def is_bare(drawn: Sequence[bytes], networks: bool) -> bool:
    """Whether a picture is a bare file: one tile of lossless image data.

    Args:
        drawn: image data by tile, padded or not.
        networks: they have a part in the picture.
    """
    return len(drawn) == 1 and not networks and drawn[0][:1] == bytes((LOSSLESS,))


def check_drawn(segment: bytes, name: str, at: int, size: tuple[int, int], whole: bool) -> None:
    """Check that a segment begins as the image data of a tile's size.

    Args:
        name, at: of the segment, for messages.
        size: width and height of the tile.
        whole: nothing else of the tile is coded, so that every pixel must be opaque.

    Raises:
        CorruptData: it is not.
    """

    def demand(right: bool, what: str) -> None:
        if not right:
            raise CorruptData(where(name, at, what))

    demand(len(segment) > 10, "no image data of WebP")
    if segment[0] == LOSSLESS:
        bits = int.from_bytes(segment[1:5], "little")
        canvas = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        transparent, right = bits >> 28 & 1, bits >> 29 == 0
    else:
        canvas = int.from_bytes(segment[6:8], "little"), int.from_bytes(segment[8:10], "little")
        transparent, right = 0, segment[0] & 1 == 0 and segment[3:6] == b"\x9d\x01\x2a"
    demand(right, "no image data of WebP")
    demand(max(size) <= DRAWN_SIDE_MAX, f"the tile is longer than {DRAWN_SIDE_MAX}")
    demand(
        canvas == size, f"the image data is of {canvas[0]}x{canvas[1]} pixels, the tile {size[0]}x{size[1]}"
    )
    demand(not (transparent and whole), "transparent pixels, but nothing else is coded of the tile")
