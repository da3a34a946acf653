"""Image files and metadata blocks that several tests of pictures need."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from vqcodec.image.assembling import to_pil
from vqcodec.image.metadata import KINDS, Metadata

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file of format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif_with(orientation: int) -> bytes:
    """An EXIF block with an orientation and a maker."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return exif.tobytes()


def as_pil(
    pixels: np.ndarray,
    gray: bool,
    alpha: np.ndarray | None,
    metadata: Metadata,
    kinds: frozenset[str] = KINDS,
) -> tuple[Image.Image, tuple[str, ...]]:
    """What `to_pil` makes of pixels (H, W, 3) that come in four rectangles, or fewer of a tiny picture."""
    height, width = pixels.shape[:2]
    halves = [
        [part for part in (slice(0, side // 3), slice(side // 3, side)) if part.start < part.stop]
        for side in (height, width)
    ]
    parts = [((rows, columns), pixels[rows, columns]) for rows in halves[0] for columns in halves[1]]
    return to_pil(parts, (width, height), gray, alpha, metadata, kinds)
