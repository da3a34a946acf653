"""What a picture file says of its samples that Pillow's mode does not tell."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from PIL import ExifTags, Image, TiffImagePlugin

from vqcodec.image.colour import Stored

_SIXTEEN_BITS = {"PNG", "PPM", "JPEG2000"}
"""Formats whose integers are scaled to 16 bits by Pillow."""
_BITS, _PHOTOMETRIC = 258, 262


@dataclass(frozen=True)
class FileFacts:
    """What is known of an image that is a file's own, before it is loaded.

    Attributes:
        stored: how its samples are stored.
        depth: their bits, where Pillow reduces them to 8; otherwise 0.
        gray_alpha: gray with alpha, for which Pillow gives RGBA.
        turned: Pillow turns it while it loads (TIFF).
        code: colour primaries and transfer of H.273.
    """

    stored: Stored = field(default_factory=Stored)
    depth: int = 0
    gray_alpha: bool = False
    turned: bool = False
    code: tuple[int, int] | None = None

    @classmethod
    def of(cls, image: Image.Image, data: bytes | None = None) -> FileFacts:
        """The facts of a Pillow image, and of its file where that is at hand."""
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        bits = tags.get(_BITS, (0,))
        top = 4095 if bits == (12,) else 65_535 if image.format in _SIXTEEN_BITS else None
        # Pillow turns over what has fewer bits.
        white_is_zero = tags.get(_PHOTOMETRIC) == 0 and image.mode[0] in "IF"
        turned = tags.get(ExifTags.Base.Orientation, 1) != 1
        gray_alpha = any("LA;16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        code = None if data is None else colour_code(data)
        return cls(Stored(white_is_zero, top), depth(image, data), gray_alpha, turned, code)


def colour_code(data: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer of H.273, of a PNG's cICP chunk or an AVIF file's nclx box."""
    if data.startswith(b"\x89PNG"):
        front = data[: max(data.find(b"IDAT"), 0)]
        found = re.search(rb"\x00\x00\x00\x04cICP(..)", front, re.S)
        return (found[1][0], found[1][1]) if found else None
    if data[4:8] == b"ftyp":
        found = re.search(rb"colrnclx(....)", data[:4096], re.S)
        return struct.unpack(">HH", found[1]) if found else None
    return None


def depth(image: Image.Image, data: bytes | None) -> int:
    """Bits of the samples of an image that is not loaded yet, where Pillow reduces them to 8; otherwise 0."""
    # What its decoder knows of the samples as they are stored; `load` drops it.
    stored = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
    if image.mode not in ("RGB", "RGBA", "LA"):
        return 0
    if re.search("(?<!BGR);16|;48|;64", stored):
        return 16
    if data is not None and image.format == "AVIF":
        at = data.find(b"av1C", 0, 4096)
        flags = data[at + 6] if 0 < at < len(data) - 6 else 0
        return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 0
    if data is not None and image.format == "JPEG2000":
        at = data.find(b"\xff\x4f\xff\x51", 0, 4096)  # SIZ: the depth of the first component, less one
        bits = (data[at + 42] & 0x7F) + 1 if 0 <= at < len(data) - 42 else 0
        return bits if bits > 8 else 0
    return 0
