"""Writing a decoded picture with its metadata in the format a suffix or name asks for."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from vqcodec.errors import UnsupportedImage
from vqcodec.image.exif import EXIF_PREFIX
from vqcodec.image.tiff import add_exif

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pnm": "PPM",
}
_OPTIONS: dict[str, dict[str, Any]] = {
    # A third of the time of zlib's usual level, which was longer than decoding, for up to 11 % more bytes.
    "PNG": {"compress_level": 3},
    "JPEG": {"quality": 95, "subsampling": 0, "optimize": True},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "TIFF": {"compression": "tiff_deflate"},
}
_WITH_ALPHA = {"PNG", "WEBP", "AVIF", "TIFF"}
_WITH_METADATA = {"PNG", "JPEG", "WEBP", "AVIF", "TIFF"}
_JPEG_SEGMENT = 65_000
"""EXIF and XMP must each fit one JPEG segment of 65 533 bytes, prefix included."""

_TIFF_XMP = 700


def format_for(path: object | None, name: str | None = None) -> str:
    """Pillow format from an explicit name ("png", "JPEG", ".webp") or else from a path's suffix.

    Raises:
        ValueError: neither names a format that can be written.
    """
    suffix = "." + name.lower().lstrip(".") if name else Path(str(path)).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    known = ", ".join(sorted(key[1:] for key in SUFFIXES))
    if not suffix:
        raise ValueError(f"{path}: no suffix that tells a picture format; known: {known}")
    raise ValueError(f"unknown picture format {suffix.lstrip('.')!r}; known: {known}")


def encode_image(image: Image.Image, kind: str) -> tuple[bytes, tuple[str, ...]]:
    """Serialise a decoded picture; lossless where the format can, otherwise at high quality.

    Args:
        image: mode L, LA, RGB or RGBA, with icc_profile, exif and xmp in its `info`.
        kind: a value of `SUFFIXES`.

    Returns:
        The file's bytes, and one line per thing the format could not hold.

    Raises:
        UnsupportedImage: this Pillow cannot write the format, or not a picture of this size.
    """
    notes: list[str] = []
    if kind not in _WITH_ALPHA and image.mode in ("LA", "RGBA"):
        image = _flatten(image)
        notes.append(f"{kind} has no alpha channel, flattened on white")
    options = _OPTIONS.get(kind, {}) | _metadata_options(image, kind, notes)
    buffer = io.BytesIO()
    # With an empty info the options alone decide what is kept, not each plugin's defaults; a copy of the
    # picture with an empty info would need its memory once more.
    info, image.info = image.info, {}
    try:
        image.save(buffer, kind, **options)
    except MemoryError:
        raise
    except Exception as error:  # plugins raise KeyError, OSError, ValueError or RuntimeError here
        reason = " ".join(str(error).split())
        raise UnsupportedImage(f"cannot write this picture as {kind} ({reason})") from error
    finally:
        image.info = info
    encoded = buffer.getvalue()
    if kind == "TIFF" and (block := info.get("exif")):
        try:
            encoded = add_exif(encoded, block.removeprefix(EXIF_PREFIX))
        except ValueError:
            notes.append("exif block cannot be read, dropped")
    return encoded, tuple(notes)


def _metadata_options(image: Image.Image, kind: str, notes: list[str]) -> dict[str, Any]:
    blocks = {key: image.info[key] for key in ("icc_profile", "exif", "xmp") if key in image.info}
    if kind not in _WITH_METADATA:
        titles = (key.removesuffix("_profile") for key in blocks)
        notes.extend(f"{kind} cannot hold the {title} block, dropped" for title in titles)
        return {}
    if kind == "JPEG":
        for key in ("exif", "xmp"):
            if len(blocks.get(key, b"")) > _JPEG_SEGMENT:
                del blocks[key]
                notes.append(f"{key} block does not fit a JPEG segment, dropped")
    options: dict[str, Any] = {key: value for key, value in blocks.items() if key != "xmp"}
    if kind == "TIFF":
        options.pop("exif", None)  # `encode_image` adds it: libtiff takes no directories within directories
    if "xmp" not in blocks:
        return options
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", blocks["xmp"].decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif kind == "TIFF":
        tags = Image.Exif()
        tags[_TIFF_XMP] = blocks["xmp"]
        options["exif"] = tags
    else:
        options["xmp"] = blocks["xmp"]
    return options


def _flatten(image: Image.Image) -> Image.Image:
    background = Image.new("RGBA", image.size, "white")
    background.alpha_composite(image.convert("RGBA"))
    flat = background.convert("L" if image.mode == "LA" else "RGB")
    flat.info = dict(image.info)
    return flat
