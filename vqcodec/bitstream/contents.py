"""What a table of contents means: where layers end, and which segments may be empty."""

from __future__ import annotations

from collections.abc import Sequence

from vqcodec.bitstream.chunks import CRC_BYTES
from vqcodec.bitstream.drawn import LOSSLESS, NO_MODEL, check_drawn
from vqcodec.bitstream.fields import where
from vqcodec.bitstream.header import CODER_WORD_BYTES, tile_count
from vqcodec.errors import CorruptData
from vqcodec.types import Header

_ID_OFFSET = 8


def segment_count(header: Header) -> int:
    """Number of segments, empty ones too."""
    return tile_count(header) * (header.layers + header.drawn)


def entry_count(header: Header) -> int:
    """Number of lengths in the table of contents: of a bare file only the first, as the others are 0."""
    return 1 if header.bare else segment_count(header)


def unit_bytes(header: Header) -> int:
    """What lengths in the table of contents are counted in."""
    return 1 if header.bare else CODER_WORD_BYTES[header.coder_id]


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
    if header.drawn and not any(drawn):
        raise CorruptData(where("table of contents", offsets[0], "a drawn layer without a segment"))
    for tile in range(tiles):
        coarse, fine = lengths[first + tile], lengths[first + tiles + tile]
        if coarse == 0 and (fine or not drawn[tile]):
            raise CorruptData(
                where(
                    "table of contents", offsets[first + tile], f"the layer 0 segment of tile {tile} is empty"
                )
            )
    if header.drawn and (header.bitstream_id == NO_MODEL) == any(lengths[first : first + tiles]):
        what = "the id of no model contradicts the segments: it is for files that are drawn everywhere"
        raise CorruptData(where("bitstream_id", _ID_OFFSET, what))


def check_tile(
    header: Header, lengths: Sequence[int], tile: int, segment: bytes, at: int, size: tuple[int, int]
) -> None:
    """Check a tile's segment of the drawn layer; `size` is the tile's width and height.

    Raises:
        CorruptData: it is no image data as it must be.
    """
    if not segment:
        return
    name, tiles = f"segment of tile {tile}, drawn layer", tile_count(header)
    whole = not lengths[tiles + tile]
    check_drawn(segment, name, at, size, whole)
    lossless = segment[0] == LOSSLESS
    if header.bare and not lossless:
        raise CorruptData(where(name, at, "a bare file's image data is not lossless"))
    if tiles == 1 and whole and lossless and not header.bare:
        raise CorruptData(
            where(name, at, "one lossless tile is all of the picture, but the file is not bare")
        )
