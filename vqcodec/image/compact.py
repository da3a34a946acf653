"""Metadata without what is of no use beside the decoded picture, but costs more than all the rest.

ICC: profiles that mean a well-known one become it, see `vqcodec.image.profiles`.
EXIF: the thumbnail, which shows the picture as it was before it was turned; maker notes, whose form only the
camera's maker knows; padding. XMP: thumbnails, and the blanks that leave room for changes. What is left of
EXIF is written anew: nothing of it depends on its place. A block that cannot be followed stays as it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from vqcodec.image.exif import byte_order, entries, value_place
from vqcodec.image.metadata import Metadata
from vqcodec.image.profiles import simplified

_MAKER_NOTE = 0x927C
_LEFT_OUT = {_MAKER_NOTE, 0xEA1C, 0xEA1D, 0xC4A5}
"""Maker notes, padding, the distance by which an editor moved the maker notes, and notes for a printer."""
_POINTERS = {0x8769, 0x8825, 0xA005}
"""Tags that lead to the directories Exif, GPS and Interoperability."""
_PLACES = {0x0111, 0x0144, 0x014A, 0x0190, 0x0201}
"""Tags that lead to what is not followed: strips, tiles, other directories, a thumbnail in the first one."""
_DEPTH = 2
"""The first directory leads to Exif, which leads to Interoperability, which leads nowhere."""
_XMP_THUMBNAILS = b"<xmp:Thumbnails>", b"</xmp:Thumbnails>"
_XMP_END = b"<?xpacket end="


class _Kept(NamedTuple):
    """An entry that is kept: tag, type and number of its values, then these, or where it leads to."""

    tag: int
    kind: int
    values: int
    content: bytes | list[_Kept]


def compacted(metadata: Metadata, notes: list[str]) -> Metadata:
    """The same in fewer bytes: what a profile means, and of EXIF and XMP what people use."""
    return Metadata(
        icc=None if metadata.icc is None else simplified(metadata.icc),
        exif=None if metadata.exif is None else compact_exif(metadata.exif, notes),
        xmp=None if metadata.xmp is None else compact_xmp(metadata.xmp),
    )


def compact_exif(block: bytes, notes: list[str]) -> bytes:
    """An EXIF block, from its TIFF header on, without thumbnail, maker notes and padding.

    Args:
        block: as a decoder gives it.
        notes: receives a line if there were maker notes.
    """
    order = byte_order(block)
    if order is None:
        return block
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        reader = _Reader(block, order, left=len(block))
        shorter = struct.pack(f"{order}4sI", block[:4], 8) + _written(reader.directory(start), order, 8)
    except (struct.error, KeyError, ValueError):
        return block
    if len(shorter) >= len(block):
        return block
    if reader.maker_notes:
        notes.append("maker notes of EXIF left out; metadata exact keeps them")
    return shorter


def compact_xmp(block: bytes) -> bytes:
    """An XMP packet without thumbnails and padding."""
    first, last = _XMP_THUMBNAILS
    kept, at = [], 0
    # Not a regular expression: its time could grow with the square of a block's length.
    while (start := block.find(first, at)) >= 0 and (end := block.find(last, start)) >= 0:
        kept.append(block[at:start].rstrip())
        at = end + len(last)
    packet, mark, end_of_packet = b"".join([*kept, block[at:]]).rpartition(_XMP_END)
    shorter = packet.rstrip() + b"\n" + mark + end_of_packet if mark else end_of_packet
    return shorter if len(shorter) < len(block) else block


@dataclass
class _Reader:
    """Reads directories of a TIFF block, in all no more bytes than the block has: values may overlap."""

    tiff: bytes
    order: str
    left: int
    maker_notes: bool = False

    def directory(self, start: int, depth: int = 0) -> list[_Kept]:
        """The entries that are kept.

        Raises:
            struct.error, KeyError, ValueError: it cannot be followed, or not in full.
        """
        kept = []
        for entry in entries(self.tiff, self.order, start):
            if entry.tag in _LEFT_OUT:
                self.maker_notes |= entry.tag == _MAKER_NOTE
                continue
            if entry.tag in _PLACES:
                raise ValueError("leads to what is not followed")
            place, size = value_place(self.tiff, self.order, entry)
            self.left -= 12 + size
            if self.left < 0:
                raise ValueError("values overlap")
            value = self.tiff[place : place + size]
            if entry.tag not in _POINTERS:
                kept.append(_Kept(entry.tag, entry.kind, entry.number, value))
                continue
            if depth == _DEPTH:
                raise ValueError("a directory within too many others")
            (there,) = struct.unpack(self.order + "I", value)
            kept.append(_Kept(entry.tag, entry.kind, entry.number, self.directory(there, depth + 1)))
        return kept


def _written(kept: list[_Kept], order: str, start: int) -> bytes:
    """A directory at byte `start` of its block, with no other after it, and then its values."""
    head, body = struct.pack(order + "H", len(kept)), b""
    front = start + 2 + 12 * len(kept) + 4
    for tag, kind, values, content in kept:
        head += struct.pack(order + "HHI", tag, kind, values)
        if isinstance(content, bytes) and len(content) <= 4:
            head += content.ljust(4, b"\0")
            continue
        place = front + len(body)
        head += struct.pack(order + "I", place)
        behind = content if isinstance(content, bytes) else _written(content, order, place)
        body += behind + bytes(len(behind) % 2)
    return head + bytes(4) + body
