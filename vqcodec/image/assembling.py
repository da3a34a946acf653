"""From decoded pixels, alpha and metadata to a PIL image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.image.colour import Notes, mean_of_channels, to_srgb
from vqcodec.image.exif import EXIF_PREFIX
from vqcodec.image.metadata import KINDS, Metadata
from vqcodec.tiling import Place


def to_pil(
    parts: Iterable[tuple[Place, NDArray[np.uint8]]],
    size: tuple[int, int],
    gray: bool,
    alpha: NDArray[np.uint8] | None,
    metadata: Metadata,
    kinds: frozenset[str] = KINDS,
    neutral: bool = False,
) -> tuple[Image.Image, tuple[str, ...]]:
    """Assemble the decoded picture, from rectangles: an array of all of it would need its memory once more.

    Args:
        parts: rectangles that fill the picture, each with its pixels uint8 (h, w, 3).
        size: width and height.
        gray: average the channels to one.
        alpha: uint8 (H, W) or None.
        metadata: the file's blocks.
        kinds: those put in `info` under Pillow's keys icc_profile, exif and xmp. Without "icc", a profile is
            applied instead: pixels become sRGB.
        neutral: a gray picture comes as RGB.

    Returns:
        The picture, and notes for people.
    """
    notes: Notes = []
    image = Image.new("L" if gray else "RGB", size)
    for (rows, columns), pixels in parts:
        shown = mean_of_channels(pixels) if gray else np.ascontiguousarray(pixels)
        image.paste(Image.fromarray(shown), (columns.start, rows.start))
    if neutral and gray:
        image = Image.merge("RGB", (image, image, image))
    if metadata.icc is not None and "icc" not in kinds:
        image = to_srgb(image, metadata.icc, notes)
    metadata = metadata.only(kinds)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    exif = None if metadata.exif is None else EXIF_PREFIX + metadata.exif
    blocks = {"icc_profile": metadata.icc, "exif": exif, "xmp": metadata.xmp}
    image.info.update({key: block for key, block in blocks.items() if block is not None})
    return image, tuple(notes)
