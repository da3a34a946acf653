"""A .vqc file as a whole, read: header, chunks, table of contents, segments; FORMAT.md specifies it.

    bytes --parse--> Container     first bytes --probe--> Probe

    | fixed header | [chunk count, chunks] | table of contents | CRC-32 | segment, CRC-32 | segment, ...

A segment is what the entropy coder made of one layer of one tile. All tiles of layer 0 come first, then all
of layer 1, so that a prefix of a file is a coarser version of the whole picture. Before them comes the drawn
layer of files that have one, image data of WebP or nothing for each tile. Where that is all, one tile and
lossless, the file is bare: fields that mean nothing there are left out. `bitstream.composing` writes files;
the form is canonical: no two files hold the same header, chunks and segments.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from vqcodec.bitstream.chunks import CRC_BYTES, read_chunks, read_count
from vqcodec.bitstream.contents import (
    check_lengths,
    check_tile,
    entry_count,
    layer_ends,
    segment_count,
    stored_bytes,
    unit_bytes,
)
from vqcodec.bitstream.fields import VARINT_MAX, Cursor, where
from vqcodec.bitstream.header import CODER_WORD_BYTES, read_header, tile_count, tile_sizes
from vqcodec.errors import CorruptData, Truncated
from vqcodec.types import DEFAULT_LIMITS, Chunk, Header, Limits


@dataclass(frozen=True)
class Probe:
    """What the start of a file tells: all but the coded picture.

    Attributes:
        lengths: bytes of each segment, in file order.
        data_offset: offset of the first segment.
        layer_ends: offset at which each layer ends; the last one is the size of the complete file. The drawn
            layer counts to the first.
    """

    header: Header
    chunks: tuple[Chunk, ...]
    lengths: list[int]
    data_offset: int
    layer_ends: tuple[int, ...]

    @property
    def file_bytes(self) -> int:
        """Size of the complete file, by its table of contents."""
        return self.layer_ends[-1]

    @property
    def drawn_lengths(self) -> list[int]:
        """Bytes of each tile's segment in the drawn layer; none if there is no such layer."""
        return self.lengths[: tile_count(self.header)] if self.header.drawn else []

    @property
    def drawn_whole(self) -> list[bool]:
        """Of each tile, whether it has nothing but its drawn segment."""
        tiles = tile_count(self.header)
        return (
            [not length for length in self.lengths[tiles : 2 * tiles]]
            if self.header.drawn
            else [False] * tiles
        )


@dataclass(frozen=True)
class Container(Probe):
    """A parsed file; every checksum of what is here was right.

    Attributes:
        segments: [tile][layer]; None for a segment that the data does not (wholly) contain.
        complete: no segment that was asked for is missing.
        warnings: remarks for people, one line each.
        drawn: each tile's segment of the drawn layer, empty or image data of WebP, which is padded unless the
            file is bare, None where it is missing; nothing if there is no such layer.
    """

    segments: tuple[tuple[bytes | None, ...], ...]
    complete: bool
    warnings: tuple[str, ...] = ()
    drawn: tuple[bytes | None, ...] = ()


def parse(
    data: bytes, limits: Limits = DEFAULT_LIMITS, *, allow_partial: bool = False, layers: int | None = None
) -> Container:
    """Read a file and check its structure and all of its checksums; no segment is decoded.

    Args:
        allow_partial: accept data that ends after its table of contents; what is missing becomes None.
        layers: read the first so many layers of every tile. If that is not all of them, the others become
            None, and nothing behind these is needed or looked at.

    Raises:
        CorruptData: damaged, or not a .vqc file; a wholly present segment with a wrong checksum always is.
        LimitExceeded: announces more than `limits` allow.
        Truncated: the data ends early (with `allow_partial`: before the end of the table of contents).
        UnsupportedVersion: needs a newer decoder.
        ValueError: `layers` is not 1 to the number of layers.
    """
    view = memoryview(data)
    front = probe(view, limits, coded=not allow_partial)
    header, tiles = front.header, tile_count(front.header)
    wanted = header.layers if layers is None else layers
    if not 1 <= wanted <= header.layers:
        raise ValueError(f"layers must be from 1 to {header.layers}, not {wanted}")
    end = front.layer_ends[wanted - 1]
    if len(view) < end and not allow_partial:
        what = f"the file has {end} bytes" if wanted == header.layers else f"{end} bytes are needed"
        raise Truncated(where("segments", front.data_offset, f"{what} but the data ends after {len(view)}"))
    if wanted < header.layers:
        view = view[:end]
    elif len(view) > end:
        raise CorruptData(where("end of file", end, f"{len(view) - end} more bytes follow"))
    segments = _read_segments(Cursor(view, front.data_offset), front)
    first = tiles if header.drawn else 0
    by_tile = tuple(tuple(segments[first + tile :: tiles]) for tile in range(tiles))
    asked = segments[: min(first + wanted * tiles, entry_count(header))]
    missing = asked.count(None)
    warnings = (f"the data ends early: {missing} of {len(asked)} segments are missing",) if missing else ()
    return Container(
        **vars(front),
        segments=by_tile,
        complete=not missing,
        warnings=warnings,
        drawn=tuple(segments[:first]),
    )


def probe(prefix: bytes | memoryview, limits: Limits = DEFAULT_LIMITS, coded: bool = False) -> Probe:
    """Read all that stands before the segments from the first bytes of a file, and check its checksums.

    Args:
        coded: the prefix is to hold the coarse layer of all tiles, too.

    Raises:
        CorruptData, LimitExceeded, UnsupportedVersion: as for `parse`.
        Truncated: the prefix is too short; try again with more of the file.
    """
    view = memoryview(prefix)
    cursor = Cursor(view)
    header, has_chunks = read_header(cursor, limits)
    count = read_count(cursor) if has_chunks else 0
    crc = zlib.crc32(view[: cursor.offset])
    chunks = read_chunks(cursor, count, header, limits)

    tiles = tile_count(header)
    entries, unit = entry_count(header), unit_bytes(header)
    word = CODER_WORD_BYTES[header.coder_id]
    # A few header bytes may announce a million tiles. Nothing is built per tile until the data proves long
    # enough to hold them: a length byte for each segment, and a word with a checksum for each tile.
    least = entries + CRC_BYTES + (tiles * stored_bytes(word) if coded else 0)
    cursor.require(least, f"table of contents and segments of {tiles} tiles")

    start = cursor.offset
    lengths, offsets = [], []
    for _ in range(entries):
        at = cursor.offset
        offsets.append(at)
        units = cursor.varint("table of contents")
        if units > VARINT_MAX // unit:
            raise CorruptData(where("table of contents", at, f"a segment of {units} words is too long"))
        lengths.append(units * unit)
    lengths += [0] * (segment_count(header) - entries)
    offsets += offsets[-1:] * (segment_count(header) - entries)
    crc = zlib.crc32(view[start : cursor.offset], crc)
    at = cursor.offset
    if cursor.uint(CRC_BYTES, "header CRC") != crc:
        raise CorruptData(where("header CRC", at, "wrong checksum of header and table of contents"))
    check_lengths(header, lengths, offsets)
    return Probe(header, chunks, lengths, cursor.offset, layer_ends(header, lengths, cursor.offset))


def _read_segments(cursor: Cursor, front: Probe) -> list[bytes | None]:
    """Return the segments in file order, None from the first one on that the data does not hold wholly."""
    segments: list[bytes | None] = []
    tiles, drawn = tile_count(front.header), int(front.header.drawn)
    sizes = tile_sizes(front.header)
    for entry, length in enumerate(front.lengths):
        if cursor.left < stored_bytes(length):
            break
        at, tile, layer = cursor.offset, entry % tiles, entry // tiles - drawn
        name = f"segment of tile {tile}, {f'layer {layer}' if layer >= 0 else 'drawn layer'}"
        segment = bytes(cursor.take(length, name))
        if segment and zlib.crc32(segment) != cursor.uint(CRC_BYTES, f"{name} CRC"):
            raise CorruptData(where(name, at, "wrong checksum"))
        if layer < 0:
            check_tile(front.header, front.lengths, tile, segment, at, next(sizes))
        segments.append(segment)
    return segments + [None] * (len(front.lengths) - len(segments))
