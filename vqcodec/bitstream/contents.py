"""What a table of contents means: where layers end, and which segments may be empty."""

from __future__ import annotations

from collections.abc import Sequence

from vqcodec.bitstream.chunks import CRC_BYTES
from vqcodec.bitstream.drawn import NO_MODEL, check_drawn
from vqcodec.bitstream.fields import where
from vqcodec.bitstream.header import tile_count
from vqcodec.errors import CorruptData
from vqcodec.types import Header

_ID_OFFSET = 8


def layer_ends(header: Header, lengths: Sequence[int], start: int) -> tuple[int, ...]:
    """Offsets at which layers end, the first with the drawn layer before it."""
    tiles = tile_count(header)
    counts = range(tiles * (1 + header.drawn), len(lengths) + 1, tiles)
    return tuple(start + sum(map(stored_bytes, lengths[:count])) for count in counts)


def stored_bytes(length: int) -> int:
    """Bytes of a segment of this length with its checksum, which an empty one has not."""
    return length + CRC_BYTES if length else 0


def check_lengths(header: Header, lengths: Sequence[int], offsets: Sequence[int]) -> None:
    """Check which segments are empty; `offsets` are those of their entries in the table of contents.

    Raises:
        CorruptData: one is that must not be, or the bitstream_id contradicts it.
    """
    tiles = tile_count(header)
    first = tiles if header.drawn else 0
    drawn = lengths[:first] if header.drawn else [0] * tiles
    for tile in range(tiles):
        coarse, fine = lengths[first + tile], lengths[first + tiles + tile]
        if coarse == 0 and (fine or not drawn[tile]):
            raise CorruptData(
                where(
                    "table of contents", offsets[first + tile], f"the layer 0 segment of tile {tile} is empty"
                )
            )
    if not header.drawn:
        return
    if not any(drawn):
        raise CorruptData(where("table of contents", offsets[0], "a drawn layer without a segment"))
    if (header.bitstream_id == NO_MODEL) == any(lengths[first : first + tiles]):
        what = "the id of no model contradicts the segments: it is for files that are drawn everywhere"
        raise CorruptData(where("bitstream_id", _ID_OFFSET, what))


def check_tile(
    header: Header, lengths: Sequence[int], tile: int, segment: bytes, at: int, size: tuple[int, int]
) -> None:
    """Check a tile's segment of the drawn layer; `size` is the tile's width and height.

    Raises:
        CorruptData: it is no image data as it must be.
    """
    if segment:
        name = f"segment of tile {tile}, drawn layer"
        check_drawn(segment, name, at, size, whole=not lengths[tile_count(header) + tile])
