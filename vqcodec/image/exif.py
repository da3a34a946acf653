"""EXIF blocks: orientation, removal of the place, and the directories of a TIFF file.

Pixels are rotated upright before coding, so an orientation left in EXIF would turn the decoded picture a
second time. Blocks are patched in place: maker notes hold absolute offsets, which writing the block anew
would break. Imports nothing outside the standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

EXIF_PREFIX = b"Exif\x00\x00"
EXIF_POINTER, GPS_POINTER = 0x8769, 0x8825
_ORIENTATION, _MAKER_NOTE = 0x0112, 0x927C
_BLOCKS = (0x02BC, 0x83BB, 0x8649)
"""XMP, IPTC and Photoshop's resources as TIFF tags: they may name the place as well."""
_SHORT, _LONG, _IFD = 3, 4, 13
BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
"""TIFF signature -> prefix of `struct` formats."""
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value of each TIFF type."""


class Entry(NamedTuple):
    """Where an entry of a directory stands, and its tag, type and number of values."""

    at: int
    tag: int
    kind: int
    number: int


def byte_order(block: bytes) -> str | None:
    """The prefix of `struct` formats for a block from its TIFF header on; None if it has no such header."""
    return BYTE_ORDERS.get(block[:4]) if len(block) >= 8 else None


def entries(block: bytes, order: str, start: int) -> Iterator[Entry]:
    """The entries of the directory at `start`.

    Raises:
        struct.error: the directory leads out of the block.
    """
    (count,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        struct.unpack_from(order + "I", block, at + 8)
        yield Entry(at, *struct.unpack_from(order + "HHI", block, at))


def value_place(block: bytes, order: str, entry: Entry) -> tuple[int, int]:
    """Offset and size of an entry's values, in the entry or elsewhere.

    Raises:
        KeyError: an unknown type.
        struct.error: they lie outside of the block.
    """
    size = TYPE_SIZES[entry.kind] * entry.number
    if size <= 4:
        return entry.at + 8, size
    (place,) = struct.unpack_from(order + "I", block, entry.at + 8)
    if place + size > len(block):
        raise struct.error("values outside of the block")
    return place, size


def orientation_of(block: bytes) -> int | None:
    """The orientation 1..8 that a block with or without the JPEG prefix tells, or None."""
    found = None
    block = block.removeprefix(EXIF_PREFIX)
    for order, entry in _first_directory(block):
        if entry.tag != _ORIENTATION or entry.number != 1:
            continue
        form = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}.get(entry.kind)
        if form is not None:
            (value,) = struct.unpack_from(order + form, block, entry.at + 8)
            found = value if 1 <= value <= 8 else found
    return found


def clean_exif(block: bytes) -> bytes | None:
    """Strip the JPEG prefix and set the orientation to 1; None if the block is not EXIF at all."""
    block = block.removeprefix(EXIF_PREFIX)
    if byte_order(block) is None:
        return None
    cleaned = bytearray(block)
    for order, entry in _first_directory(block):
        if entry.tag == _ORIENTATION and (entry.kind, entry.number) == (_SHORT, 1):
            struct.pack_into(order + "H", cleaned, entry.at + 8, 1)
        elif entry.tag == _ORIENTATION:  # of another type, which some readers take all the same
            struct.pack_into(order + "HHIHH", cleaned, entry.at, _ORIENTATION, _SHORT, 1, 1, 0)
    return bytes(cleaned)


def erase_gps(block: bytes) -> bytes | None:
    """An EXIF block without what may tell a place, emptied in place; None where it cannot be followed.

    That are its GPS directory, maker notes, which have places of their own, and XMP and IPTC within it.
    None, that is no EXIF at all, is the safe answer to a directory that leads out of the block.
    """
    order = byte_order(block)
    if order is None:
        return None
    erased = bytearray(block)
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        seen: set[int] = set()
        directories = [start]
        while directories:
            start = directories.pop()
            if start in seen:
                continue
            seen.add(start)
            directories += _erase_directory(erased, block, order, start)
    except (struct.error, KeyError):
        return None
    return bytes(erased)


def _erase_directory(erased: bytearray, block: bytes, order: str, start: int) -> Iterator[int]:
    """Erase what one directory tells of a place; yields the further ones to look at."""
    end = start + 2
    for entry in entries(block, order, start):
        end = entry.at + 12
        if entry.tag in (_MAKER_NOTE, *_BLOCKS):
            place, size = value_place(block, order, entry)
            erased[place : place + size] = bytes(size)
        elif entry.tag in (EXIF_POINTER, GPS_POINTER):
            if entry.kind not in (_LONG, _IFD) or entry.number != 1:
                raise struct.error("a pointer of another type")
            (target,) = struct.unpack_from(order + "I", block, entry.at + 8)
            if entry.tag == EXIF_POINTER:
                yield target
            else:
                _erase_values(erased, block, order, target)
    if end + 4 <= len(block):
        (following,) = struct.unpack_from(order + "I", block, end)
        if 0 < following < len(block):
            yield following


def _erase_values(erased: bytearray, block: bytes, order: str, start: int) -> None:
    """Zero all entries of a directory and what they point to."""
    for entry in entries(block, order, start):
        place, size = value_place(block, order, entry)
        erased[place : place + size] = bytes(size)
        erased[entry.at : entry.at + 12] = bytes(12)
    erased[start : start + 2] = bytes(2)


def _first_directory(block: bytes) -> Iterator[tuple[str, Entry]]:
    """The entries of the first directory, as far as it can be followed, and the block's byte order."""
    order = byte_order(block)
    if order is None:
        return
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        for entry in entries(block, order, start):
            yield order, entry
    except struct.error:  # the directory leads out of the block
        return
