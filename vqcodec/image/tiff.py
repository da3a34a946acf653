"""EXIF of TIFF files, whose directory is that of EXIF: only some of it is of use elsewhere.

Reading goes through Pillow. Writing adds the directories to a finished file: libtiff, which packs the pixels,
takes no directories within directories.
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

from vqcodec.image.exif import (
    EXIF_POINTER,
    GPS_POINTER,
    TYPE_SIZES,
    Entry,
    byte_order,
    entries,
    value_place,
)

DESCRIPTIVE = frozenset(
    ExifTags.Base[name].value
    for name in (
        *("DocumentName", "ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "Copyright"),
        *("HostComputer", "Rating", "RatingPercent", "XPTitle", "XPComment", "XPAuthor", "XPKeywords"),
        *("XPSubject", "XResolution", "YResolution", "ResolutionUnit"),
    )
)
"""Tags of the first directory that describe the picture, not how its file is laid out."""
_INTEROP_POINTER = 0xA005
_POINTERS = (EXIF_POINTER, GPS_POINTER, _INTEROP_POINTER)
_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
"""Bytes of the numbers that values of a type consist of, where they have an order."""
_LONG, _RESOLUTION_UNIT = 4, 296


def exif_of(image: TiffImagePlugin.TiffImageFile, notes: list[str]) -> bytes | None:
    """The descriptive tags and the Exif and GPS directories of a loaded TIFF, as an EXIF block.

    Args:
        notes: receives a line if directories cannot be kept.
    """
    stored, kept = image.getexif(), Image.Exif()
    for tag in DESCRIPTIVE & set(stored):
        kept[tag] = stored[tag]
    if set(kept) == {_RESOLUTION_UNIT}:
        del kept[_RESOLUTION_UNIT]
    plain = _written(kept) if kept else None
    try:
        for pointer in (EXIF_POINTER, GPS_POINTER):
            directory: dict[int, Any] = stored.get_ifd(pointer)
            if directory:
                kept.get_ifd(pointer).update(directory)
        return _written(kept) if kept or plain is None else plain
    except Exception:  # noqa: BLE001  values that Pillow reads but cannot write
        notes.append("Exif directories of the TIFF cannot be read, not kept")
        return plain


def _written(exif: Image.Exif) -> bytes | None:
    block = exif.tobytes()
    return block if len(block) > len(Image.Exif().tobytes()) else None


def add_exif(file: bytes, exif: bytes) -> bytes:
    """A TIFF file with one picture, with the descriptive tags and directories of an EXIF block added.

    Raises:
        ValueError: either of them cannot be followed.
    """
    order, theirs = byte_order(file), byte_order(exif)
    if order is None or theirs is None:
        raise ValueError("not a TIFF file or no EXIF block")
    out = bytearray(file)
    try:
        (start,) = struct.unpack_from(order + "I", file, 4)
        own = {entry.tag: file[entry.at : entry.at + 12] for entry in entries(file, order, start)}
        (start,) = struct.unpack_from(theirs + "I", exif, 4)
        for entry in entries(exif, theirs, start):
            if (entry.tag in DESCRIPTIVE and entry.tag not in own) or entry.tag in (
                EXIF_POINTER,
                GPS_POINTER,
            ):
                own[entry.tag] = _moved(out, order, exif, theirs, entry)
        out[4:8] = struct.pack(order + "I", _append_directory(out, order, own))
    except (struct.error, KeyError, RecursionError) as error:
        raise ValueError("a directory leads out of the block") from error
    return bytes(out)


def _moved(out: bytearray, order: str, exif: bytes, theirs: str, entry: Entry) -> bytes:
    """The 12 bytes of an entry in another file, to whose end its values are added."""
    if entry.tag in _POINTERS:
        (start,) = struct.unpack_from(theirs + "I", exif, entry.at + 8)
        inner = {
            one.tag: _moved(out, order, exif, theirs, one)
            for one in entries(exif, theirs, start)
            if one.tag not in (EXIF_POINTER, GPS_POINTER)
        }
        return struct.pack(order + "HHII", entry.tag, _LONG, 1, _append_directory(out, order, inner))
    place, size = value_place(exif, theirs, entry)
    values = exif[place : place + size]
    unit = _UNITS.get(entry.kind, 1)
    if order != theirs and unit > 1:
        values = b"".join(values[i : i + unit][::-1] for i in range(0, size, unit))
    head = struct.pack(order + "HHI", entry.tag, entry.kind, size // TYPE_SIZES[entry.kind])
    if size <= 4:
        return head + values.ljust(4, b"\0")
    out.extend(bytes(len(out) % 2))
    at = len(out)
    out.extend(values)
    return head + struct.pack(order + "I", at)


def _append_directory(out: bytearray, order: str, own: dict[int, bytes]) -> int:
    """Add a directory of entries, by tag, to the end of a file; its offset."""
    out.extend(bytes(len(out) % 2))
    at = len(out)
    out.extend(struct.pack(order + "H", len(own)) + b"".join(own[tag] for tag in sorted(own)) + bytes(4))
    return at
