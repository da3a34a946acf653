"""Colours under an alpha of 0: nobody sees them, so they become what is cheap and does not harm the edges.

For networks that is a smooth continuation of the others, for WebP one colour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STRIP = 512
_SAMPLE = 2**16
"""Pixels of which the commonest colour is looked for."""


def fill_invisible(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    """Replace the pixels (H, W, 3) under an alpha (H, W) of 0 by a smooth continuation of the others.

    Means of 2x2 pixels that are seen, of those again, and so on; what lacks a colour takes that of the next
    coarser picture. Of a picture that shows nothing, all becomes black.
    """
    height, width = alpha.shape
    places = [slice(top, min(top + _STRIP, height)) for top in range(0, height, _STRIP)]
    hidden = [place for place in places if not alpha[place].all()]
    if not hidden:
        return
    half = Image.new("RGBA", (-(-width // 2), -(-height // 2)))
    for place in places:
        half.paste(_halved(_seen(pixels[place], alpha[place])), (0, place.start // 2))
    coarse = _filled(half)
    for place in hidden:
        box = (0, place.start / 2, width / 2, place.stop / 2)
        smooth = coarse.resize((width, place.stop - place.start), Image.Resampling.BILINEAR, box)
        np.copyto(pixels[place], np.asarray(smooth), where=(alpha[place] == 0)[:, :, None])


def plain_invisible(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with those under an alpha (H, W) of 0 in the commonest colour of the others."""
    shown = np.flatnonzero(alpha)
    colour = np.zeros(3, np.uint8)
    if len(shown):
        sample = pixels.reshape(-1, 3)[shown[:: -(-len(shown) // _SAMPLE)]]
        colours, counts = np.unique(sample, axis=0, return_counts=True)
        colour = colours[counts.argmax()]
    return np.where(alpha[:, :, None] == 0, colour, pixels)


def _seen(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Image.Image:
    """RGBA with an alpha of 255 wherever there is any."""
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray((alpha > 0).view(np.uint8) * np.uint8(255)))
    return image


def _halved(image: Image.Image) -> Image.Image:
    """Means of those of 2x2 pixels that are seen, as RGBA with an alpha of 255 where there are any."""
    half = image.convert("RGBa").reduce(2).convert("RGBA")
    half.putalpha(half.getchannel("A").point([0] + 255 * [255]))
    return half


def _filled(image: Image.Image) -> Image.Image:
    """A coarse picture as RGB, with colours everywhere."""
    colours, seen = image.convert("RGB"), image.getchannel("A")
    if seen.getextrema() == (255, 255) or image.size == (1, 1):
        return colours
    width, height = image.size
    box = (0, 0, width / 2, height / 2)
    smooth = _filled(_halved(image)).resize(image.size, Image.Resampling.BILINEAR, box)
    return Image.composite(colours, smooth, seen)
