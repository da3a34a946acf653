"""The EXIF and XMP blocks of a loaded Pillow image, made consistent with upright pixels."""

from __future__ import annotations

from PIL import Image, TiffImagePlugin

from vqcodec.image import exif as exif_block
from vqcodec.image import tiff, xmp
from vqcodec.image.metadata import Metadata
from vqcodec.image.remarks import raw_profile
from vqcodec.types import Limits


def blocks_of(image: Image.Image, limits: Limits, notes: list[str], *, turned: bool) -> tuple[Metadata, int]:
    """EXIF and XMP, both with orientation 1, and the orientation 1..8 that was in them.

    EXIF's counts before XMP's.

    Args:
        notes: receives a line on what could not be read.
        turned: the file told an orientation otherwise, and Pillow has applied it.
    """
    exif = _exif(image, notes)
    packet = _xmp(image, limits, notes)
    stated = exif_block.orientation_of(exif) if exif else None
    if turned:
        orientation = 1
    elif stated is not None:
        orientation = stated
    else:
        orientation = (xmp.orientation_of(packet) if packet else None) or 1
    known = turned or stated is not None
    return Metadata(
        exif=exif_block.clean_exif(exif) if exif else None,
        xmp=xmp.clean_xmp(packet, known) if packet else None,
    ), orientation


def _exif(image: Image.Image, notes: list[str]) -> bytes | None:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return tiff.exif_of(image, notes)
    found = image.info.get("exif") or raw_profile(image, "exif")
    return found if isinstance(found, bytes) else None


def _xmp(image: Image.Image, limits: Limits, notes: list[str]) -> bytes | None:
    found = image.info.get("xmp") or raw_profile(image, "xmp")
    packet = found.encode() if isinstance(found, str) else found
    if not isinstance(packet, bytes) or not packet:
        return None
    name = xmp.extension_name(packet)
    if not name:
        return packet
    segments = [segment for key, segment in getattr(image, "applist", ()) if key == "APP1"]
    extension = xmp.extension_of(segments, name, limits.metadata)
    try:
        if extension is not None:
            return xmp.joined(packet, extension)
    except xmp.Unreadable:
        pass
    notes.append("the extension of the XMP block cannot be read, not kept")
    return xmp.joined(packet, None)
