"""Segments of the drawn layer: one WebP file each, whose frame is checked before anything decodes it.

A decoder of WebP believes what the file says of its size. Here it is compared with the tile's, and what this
format has no use for (metadata, animation, a second image, bytes behind the end) is refused.
"""

from __future__ import annotations

from vqcodec.bitstream.fields import where
from vqcodec.errors import CorruptData

DRAWN_SIDE_MAX = 16_383
"""Longest side of a WebP file, so that tiles beyond it cannot be drawn."""
NO_MODEL = bytes(8)
"""The bitstream_id of a file that is drawn everywhere: no model's."""
_FRAME = 20
"""Bytes before the payload of a WebP file's only chunk."""


def pad_drawn(webp: bytes, word: int = 4) -> bytes:
    """A WebP file as a segment: zeros follow to a whole number of words."""
    return webp + bytes(-len(webp) % word)


def check_drawn(segment: bytes, name: str, at: int, size: tuple[int, int], whole: bool) -> None:
    """Check that a segment is one plain WebP file of a tile's size.

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

    demand(len(segment) > _FRAME, "not a WebP file")
    kind, payload = segment[12:16], segment[_FRAME:]
    demand(segment[:4] == b"RIFF" and segment[8:12] == b"WEBP", "not a WebP file")
    total, length = (int.from_bytes(segment[i : i + 4], "little") for i in (4, 16))
    demand(kind in (b"VP8L", b"VP8 "), "a WebP file of more than one plain image")
    demand(total + 8 == _FRAME + length + length % 2, "more in the WebP file than its image")
    demand(
        total + 8 <= len(segment) and pad_drawn(segment[: total + 8]) == segment,
        "the WebP file and its padding are not the segment",
    )
    demand(not any(segment[_FRAME + length :]), "the padding is not zero")
    if kind == b"VP8L":
        demand(length > 5 and payload[0] == 0x2F, "not a WebP file")
        bits = int.from_bytes(payload[1:5], "little")
        canvas, transparent, right = (
            ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1),
            bits >> 28 & 1,
            bits >> 29 == 0,
        )
    else:
        demand(length > 10 and payload[0] & 1 == 0 and payload[3:6] == b"\x9d\x01\x2a", "not a WebP file")
        canvas = int.from_bytes(payload[6:8], "little"), int.from_bytes(payload[8:10], "little")
        transparent, right = 0, True
    demand(right, "not a WebP file")
    demand(max(size) <= DRAWN_SIDE_MAX, f"the tile is longer than {DRAWN_SIDE_MAX}")
    demand(canvas == size, f"the WebP file has {canvas[0]}x{canvas[1]} pixels, the tile {size[0]}x{size[1]}")
    demand(not (transparent and whole), "transparent pixels, but nothing else is coded of the tile")
