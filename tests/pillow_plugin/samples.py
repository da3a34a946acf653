"""Pictures to save, and what saving gives."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta/>"


def picture(pixels: Any, mode: str) -> Image.Image:
    image = Image.fromarray(pixels).convert(mode)
    if mode[-1] == "A":
        image.putalpha(Image.fromarray(pixels[:, :, 0] | 1))  # colours under an alpha of 0 are not kept
    return image


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    return exif


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "VQC", **options)
    return buffer.getvalue()
