"""ICC, EXIF and XMP blocks: which ones are kept, and their orientation reset to 1.

Pixels are rotated upright before coding, so a stale orientation left in EXIF or XMP would turn the decoded
picture a second time. The EXIF value is patched in place: maker notes hold absolute offsets that a block
serialised anew breaks. Imports nothing outside the standard library.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = frozenset({"icc", "exif", "xmp"})
EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")


@dataclass(frozen=True)
class Metadata:
    """Blocks carried beside the pixels; `exif` starts at its TIFF header, without the JPEG prefix."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def only(self, kinds: frozenset[str]) -> Metadata:
        """A copy with the blocks named in `kinds`, a subset of `KINDS`."""
        return Metadata(
            icc=self.icc if "icc" in kinds else None,
            exif=self.exif if "exif" in kinds else None,
            xmp=self.xmp if "xmp" in kinds else None,
        )


def parse_kinds(choice: str | Iterable[str]) -> frozenset[str]:
    """Turn "all", "none", "icc,exif" or an iterable of kinds into a set.

    Raises:
        ValueError: a word other than all, none, icc, exif or xmp; or all/none beside others.
    """
    words = [word.strip().lower() for word in (choice.split(",") if isinstance(choice, str) else choice)]
    if words == ["all"]:
        return KINDS
    if words in (["none"], []):
        return frozenset()
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise ValueError(f"metadata must be all, none or a list of icc, exif and xmp, not {unknown[0]!r}")
    return frozenset(words)


def clean_exif(block: bytes) -> bytes | None:
    """Strip the JPEG prefix and set the orientation to 1; None if the block is not EXIF at all."""
    if block.startswith(EXIF_PREFIX):
        block = block[len(EXIF_PREFIX) :]
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return None
    offset = _orientation_offset(block, order)
    if offset is None:
        return block
    return block[:offset] + struct.pack(order + "H", 1) + block[offset + 2 :]


def clean_xmp(block: bytes) -> bytes:
    """Set `tiff:Orientation` to 1, written as attribute or as element."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", block)


def icc_space(profile: bytes) -> str:
    """Colour space of an ICC profile, e.g. "RGB", "GRAY" or "CMYK"; empty if it is not a profile."""
    if len(profile) < 128 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def _orientation_offset(tiff: bytes, order: str) -> int | None:
    """Byte offset of the orientation value in the first directory, None if absent or malformed."""
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", tiff, entry)
            if tag == _ORIENTATION_TAG and kind == _SHORT and number == 1 and entry + 12 <= len(tiff):
                return entry + 8
    except struct.error:
        return None
    return None
