"""What a picture file holds beside pixels and the blocks that are kept: a note says what is lost."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

_KEPT_TEXT = {"XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type xmp"}
_USUAL_COMMENT = b"Created by OpenJPEG"
_USUAL_DPI = (72.0, 96.0)
"""What programs write that know of no resolution."""
_APP = {
    "APP0": (b"JFIF", b"JFXX"),
    "APP1": (b"Exif\0", b"http://ns.adobe.com/xap/1.0/", b"http://ns.adobe.com/xmp/extension/"),
    "APP2": (b"ICC_PROFILE\0", b"MPF\0"),
    "APP12": (b"Ducky",),
    "APP13": (b"Photoshop 3.0",),
    "APP14": (b"Adobe",),
}
"""Segments of JPEG that are kept, told of elsewhere, or of no use to a picture that is coded anew."""
_TIFF_TAGS = {33723: "IPTC", 34377: "Photoshop's resources", 34735: "a place on the map (GeoTIFF)"}
_IPTC = 0x0404


def lost(image: Image.Image, exif: bytes | None) -> list[str]:
    """One note on all that a loaded image's file holds and a .vqc file cannot; none if that is nothing.

    Args:
        exif: the block that is kept.
    """
    info: dict[Any, Any] = image.info
    found: list[str] = []
    if info.get("photoshop"):
        found.append("IPTC" if _IPTC in info["photoshop"] else "Photoshop's resources")
    tags = getattr(image, "tag_v2", {})
    found += [name for tag, name in _TIFF_TAGS.items() if tag in tags]
    if (comment := info.get("comment")) and not bytes(comment).startswith(_USUAL_COMMENT):
        found.append("the comment")
    texts = getattr(image, "text", {}) if image.format == "PNG" else {}
    if names := [printable(str(name)) for name in texts if name not in _KEPT_TEXT]:
        found.append(f"text ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})")
    for name, segment in dict(getattr(image, "applist", ())).items():
        if name != "COM" and not segment.startswith(_APP.get(name, ())):
            found.append(f"segment {name}")
    found += _resolution(info, exif)
    return [f"not kept: {'; '.join(found)}"] if found else []


def printable(text: str) -> str:
    """Text of a file as it may be shown on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:40]


def _resolution(info: dict[Any, Any], exif: bytes | None) -> list[str]:
    """The resolution, or the shape of pixels, unless it is a usual one or is kept within EXIF."""
    aspect = info.get("jfif_density") if info.get("jfif_unit") == 0 else info.get("aspect")
    if aspect and len(aspect) == 2 and aspect[0] != aspect[1] and all(aspect):
        return ["pixels that are not square"]
    try:
        dpi = [float(value) for value in info.get("dpi", ())]
    except (TypeError, ValueError, ZeroDivisionError):
        return []
    if len(dpi) != 2 or min(dpi) <= 1 or any(abs(dpi[0] - usual) < 1 for usual in _USUAL_DPI):
        return []
    if exif is not None:
        block = Image.Exif()
        block.load(exif)
        if ExifTags.Base.XResolution in block:
            return []
    return [f"the resolution ({dpi[0]:.0f} dpi)"]


def raw_profile(image: Image.Image, kind: str) -> bytes | None:
    """A block that ImageMagick wrote into the text of a PNG, in hexadecimal digits."""
    text = image.info.get(f"Raw profile type {kind}")
    try:
        return bytes.fromhex("".join(str(text).split()[2:])) if text else None
    except ValueError:
        return None
