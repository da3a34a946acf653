"""ICC, EXIF and XMP blocks: selection, orientation reset to 1, GPS position removed.

Pixels are rotated upright before coding, so an orientation left in EXIF or XMP would turn the decoded picture
a second time. EXIF is patched in place: maker notes hold absolute offsets, which writing the block anew would
break. Imports nothing outside the standard library.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

KINDS = frozenset({"icc", "exif", "xmp"})
EXACT = "exact"
"""Beside kinds: their bytes are kept as they are, but for the orientation that was applied."""
CHUNK_TYPES = {"icc": "iCCP", "exif": "eXIF", "xmp": "xMPd"}
"""The chunk of a .vqc file that holds each kind."""
EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG, _GPS_TAG = 0x0112, 0x8825
_SHORT, _LONG = 3, 4
BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
"""TIFF signature -> prefix of `struct` formats."""
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Bytes of one value of each TIFF type."""
_XMP_GPS = re.compile(
    rb"<(exif:GPS\w+)\b[^>]*?(?:/>|>.*?</\1\s*>)|\s+exif:GPS\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')", re.S
)
"""Elements and attributes of the exif:GPS... properties."""
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")


@dataclass(frozen=True)
class Metadata:
    """Blocks carried beside the pixels; `exif` starts at its TIFF header, without the JPEG prefix."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def only(self, kinds: frozenset[str]) -> Metadata:
        """A copy with the blocks named in `kinds`."""
        return Metadata(**{kind: getattr(self, kind) for kind in KINDS & kinds})

    def without_gps(self) -> Metadata:
        """A copy that does not say where the picture was taken."""
        exif = None if self.exif is None else erase_gps(self.exif)
        return replace(self, exif=exif, xmp=None if self.xmp is None else _XMP_GPS.sub(b"", self.xmp))


def parse_kinds(choice: str | Iterable[str]) -> frozenset[str]:
    """Turn "all", "none", "icc,exif" or an iterable of kinds into a set, with `EXACT` if it is among them.

    "exact" may stand beside all or kinds, and alone means all.

    Raises:
        ValueError: a word other than all, none, exact, icc, exif or xmp; all or none beside others.
    """
    words = [word.strip().lower() for word in (choice.split(",") if isinstance(choice, str) else choice)]
    exact = frozenset({EXACT}.intersection(words))
    kinds = [word for word in words if word != EXACT]
    if kinds == ["all"] or (exact and not kinds):
        return KINDS | exact
    if words in (["none"], []):
        return frozenset()
    unknown = [word for word in kinds if word not in KINDS]
    if unknown:
        raise ValueError(
            f"metadata must be all, none or a list of icc, exif and xmp, with or without exact, "
            f"not {unknown[0]!r}"
        )
    return exact.union(kinds)


def clean_exif(block: bytes) -> bytes | None:
    """Strip the JPEG prefix and set the orientation to 1; None if the block is not EXIF at all."""
    block = block.removeprefix(EXIF_PREFIX)
    order = BYTE_ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        return None
    try:
        offset = next(_value_offsets(block, order, _ORIENTATION_TAG, _SHORT), None)
    except struct.error:  # the directory leads out of the block
        offset = None
    if offset is None:
        return block
    return block[:offset] + struct.pack(order + "H", 1) + block[offset + 2 :]


def erase_gps(block: bytes) -> bytes | None:
    """An EXIF block with its GPS directory emptied in place, values zeroed; None where it cannot be followed.

    None, that is no EXIF at all, is the safe answer to a directory that leads out of the block.
    """
    order = BYTE_ORDERS.get(block[:4])
    if order is None:
        return None
    erased = bytearray(block)
    try:
        for offset in _value_offsets(block, order, _GPS_TAG, _LONG):
            (start,) = struct.unpack_from(order + "I", block, offset)
            (count,) = struct.unpack_from(order + "H", block, start)
            end = start + 2 + 12 * count
            for entry in range(start + 2, end, 12):
                _, kind, number = struct.unpack_from(order + "HHI", block, entry)
                size = TYPE_SIZES[kind] * number
                if size > 4:
                    (place,) = struct.unpack_from(order + "I", block, entry + 8)
                    if place + size > len(block):
                        return None
                    erased[place : place + size] = bytes(size)
            if end > len(block):
                return None
            erased[start:end] = bytes(end - start)
    except (struct.error, KeyError):
        return None
    return bytes(erased)


def clean_xmp(block: bytes) -> bytes:
    """Set `tiff:Orientation` to 1, written as attribute or as element."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", block)


def _value_offsets(tiff: bytes, order: str, tag: int, kind: int) -> Iterator[int]:
    """Byte offsets of the values of a tag with one value of a type in the first directory.

    Raises:
        struct.error: the directory leads out of the block.
    """
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from(order + "HHI", tiff, entry) == (tag, kind, 1) and entry + 12 <= len(tiff):
            yield entry + 8
