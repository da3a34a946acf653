"""A .vqc file as a whole, written; the inverse of `vqcodec.bitstream.container.parse`.

Header, segments, chunks --compose--> Written
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from vqcodec.bitstream.chunks import CRC_BYTES, write_chunks
from vqcodec.bitstream.container import Probe
from vqcodec.bitstream.contents import (
    check_lengths,
    check_tile,
    entry_count,
    layer_ends,
    stored_bytes,
    unit_bytes,
)
from vqcodec.bitstream.fields import encode_varint
from vqcodec.bitstream.header import tile_count, tile_sizes, write_header
from vqcodec.errors import CorruptData
from vqcodec.types import Chunk, Header


@dataclass(frozen=True)
class Written(Probe):
    """A file that was made: its bytes, and what `probe` would find in them."""

    data: bytes

    @property
    def drawn(self) -> list[bytes]:
        """Each tile's segment of the drawn layer; none if there is no such layer."""
        segments, at = [], self.data_offset
        for length in self.drawn_lengths:
            segments.append(self.data[at : at + length])
            at += stored_bytes(length)
        return segments

    def __len__(self) -> int:
        return len(self.data)


def compose(
    header: Header,
    segments: Sequence[Sequence[bytes | None]],
    chunks: Sequence[Chunk] = (),
    drawn: Sequence[bytes | None] = (),
) -> Written:
    """Make a file.

    Args:
        segments: [tile][layer], tiles row by row; each whole coder words, and not empty in layer 0 unless
            nothing but the drawn segment of the tile is coded.
        chunks: metadata in the order it is to be stored; ALPH exactly when `header.alpha`.
        drawn: a segment of the drawn layer for each tile, exactly when `header.drawn`; whole words, unless
            `header.bare` is set, which it must be for files that are so, and no others.

    Raises:
        ValueError: an argument breaks a rule of the format.
    """
    fixed = write_header(header, chunks=bool(chunks))
    count, chunk_bytes = write_chunks(chunks, header)
    tiles = tile_count(header)
    if len(segments) != tiles or any(len(layers) != header.layers for layers in segments):
        raise ValueError(f"expected {tiles} tiles of {header.layers} segments")
    if len(drawn) != (tiles if header.drawn else 0):
        raise ValueError(f"expected {tiles if header.drawn else 0} drawn segments, not {len(drawn)}")
    unit = unit_bytes(header)
    body: list[bytes] = []
    lengths: list[int] = []
    named = [(f"the drawn segment of tile {tile}", drawn[tile]) for tile in range(len(drawn))]
    named += [
        (f"the segment of tile {tile}, layer {layer}", segments[tile][layer])
        for layer in range(header.layers)
        for tile in range(tiles)
    ]
    for name, segment in named:
        if segment is None or len(segment) % unit:
            raise ValueError(f"{name} is missing or not in whole words")
        if segment:
            body += (segment, zlib.crc32(segment).to_bytes(CRC_BYTES, "little"))
        lengths.append(len(segment))
    toc = b"".join(encode_varint(length // unit) for length in lengths[: entry_count(header)])
    front = fixed + count
    crc = zlib.crc32(toc, zlib.crc32(front))
    start = b"".join((front, chunk_bytes, toc, crc.to_bytes(CRC_BYTES, "little")))
    try:
        check_lengths(header, lengths, [len(front) + len(chunk_bytes)] * len(lengths))
        for number, size in enumerate(tile_sizes(header) if header.drawn else ()):
            check_tile(header, lengths, number, named[number][1] or b"", 0, size)
    except CorruptData as error:
        raise ValueError(f"a segment breaks a rule: {error}") from error
    return Written(
        header,
        tuple(chunks),
        lengths,
        len(start),
        layer_ends(header, lengths, len(start)),
        b"".join((start, *body)),
    )


def write(
    header: Header,
    segments: Sequence[Sequence[bytes | None]],
    chunks: Sequence[Chunk] = (),
    drawn: Sequence[bytes | None] = (),
) -> bytes:
    """The bytes of `compose`."""
    return compose(header, segments, chunks, drawn).data
