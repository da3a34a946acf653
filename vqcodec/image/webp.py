"""Image data of WebP, by Pillow: what the drawn layer of a file holds."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vqcodec.bitstream.drawn import with_frame, without_frame
from vqcodec.errors import CorruptData, LimitExceeded

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
MOST_PIXELS = 2**26
"""Larger pictures are not coded: Pillow takes what is a little larger for an attack."""
_QUICK = {"method": 0, "quality": 0}
_SLOW = {"method": 6, "quality": 100}


def lossless_webp(pixels: Pixels, mask: Mask | None = None, *, speed: str = "usual") -> bytes:
    """Code pixels (H, W, 3) exactly, or those of them within a mask (H, W).

    Args:
        speed: "quick" for a first look, "usual", or "slow".
    """
    how = {"quick": _QUICK, "usual": {}, "slow": _SLOW}[speed]
    if mask is None or mask.all():
        return _saved(Image.fromarray(np.ascontiguousarray(pixels)), lossless=True, **how)
    alpha = np.where(mask, np.uint8(255), np.uint8(0))
    return _saved(Image.fromarray(np.dstack([pixels, alpha])), lossless=True, exact=False, **how)


def lossy_webp(pixels: Pixels, quality: float) -> bytes:
    """Code pixels (H, W, 3) with loss, at a quality of 0 to 100."""
    return _saved(Image.fromarray(np.ascontiguousarray(pixels)), quality=quality)


def read_webp(data: bytes, name: str = "drawn tile") -> tuple[Pixels, Mask | None]:
    """Pixels (H, W, 3) of image data, and where they are opaque (H, W), None if everywhere.

    Args:
        data: not empty; zeros may follow.
        name: what it is, for messages.

    Raises:
        CorruptData: it does not decode, or a pixel is opaque in part.
        LimitExceeded: more pixels than Pillow's MAX_IMAGE_PIXELS guard allows.
    """
    try:
        with Image.open(io.BytesIO(with_frame(data)), formats=["WEBP"]) as image:
            pixels = np.asarray(image)
    except Image.DecompressionBombError as error:
        raise LimitExceeded(f"{name}: more pixels than Pillow's MAX_IMAGE_PIXELS guard allows") from error
    except MemoryError:
        raise
    except Exception as error:  # the plugin raises OSError, ValueError, SyntaxError
        raise CorruptData(f"{name}: the image data does not decode") from error
    if pixels.shape[2] == 3:
        return pixels, None
    alpha = pixels[:, :, 3]
    mask = alpha == 255
    if not (mask | (alpha == 0)).all():
        raise CorruptData(f"{name}: pixels that are opaque in part")
    return pixels[:, :, :3], None if mask.all() else mask


def _saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return without_frame(file.getvalue())
