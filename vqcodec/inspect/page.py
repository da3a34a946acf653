"""Drawing for `vqcodec inspect`: a page with text, boxes, pictures and a heat scale."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vqcodec.image.webp import Pixels

Colour = tuple[int, int, int]

PAPER, INK, FAINT, RULE = (250, 250, 248), (25, 25, 30), (110, 110, 118), (205, 205, 208)
STRONG, SOFT, TRACK = (38, 84, 142), (168, 196, 226), (236, 239, 243)
_HEAT = np.array(
    [(0, 0, 4), (49, 10, 92), (120, 28, 109), (188, 55, 84), (237, 105, 37), (252, 181, 25), (252, 255, 164)]
)
"""From dark to light, so that it also reads in grey and for the colour-blind."""


def heat(values: NDArray[np.float64]) -> Pixels:
    """Values (...) in 0..1 -> colours (..., 3) from black over red to light yellow."""
    at = np.clip(values, 0, 1) * (len(_HEAT) - 1)
    channels = [np.interp(at, np.arange(len(_HEAT)), _HEAT[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


class Page:
    """A white page of fixed size; positions are in pixels from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, text: str, size: float = 13, fill: Colour = INK, anchor: str = "la"
    ) -> None:
        """Write `text`; `anchor` is Pillow's, by default left and top."""
        self.draw.text((x, y), text, fill=fill, font_size=size, anchor=anchor)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """Fill the rectangle [x0, x1) x [y0, y1); nothing where it is empty."""
        if x1 - x0 >= 1 and y1 - y0 >= 1:
            self.draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=fill)

    def scale_bar(self, x: int, y: int, height: int, top: float, unit: str) -> None:
        """A heat scale from 0 to `top`, upright, with its numbers and unit; about 90 pixels wide."""
        shades = heat(np.linspace(1, 0, height))[:, None].repeat(18, axis=1)
        self.image.paste(Image.fromarray(shades), (x, y))
        for part in (1.0, 0.75, 0.5, 0.25, 0.0):
            at = y + round((1 - part) * (height - 1))
            self.draw.line((x + 18, at, x + 22, at), fill=INK)
            more = "+" if part == 1 else ""
            self.text(x + 26, at, f"{part * top:.3g}{more}", 12, anchor="lm")
        self.text(x, y - 8, unit, 12, FAINT, anchor="lb")

    def png(self) -> bytes:
        """The page as a PNG file."""
        file = io.BytesIO()
        self.image.save(file, "PNG")
        return file.getvalue()
