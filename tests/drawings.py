"""Small drawn pictures, uint8 (H, W, 3), the same on every machine."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.tiny import picture

Pixels = NDArray[np.uint8]


def page(height: int = 96, width: int = 160, soft: bool = True) -> Pixels:
    """Lines of text."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.fontmode = "L" if soft else "1"
    for number, top in enumerate(range(4, height - 12, 14)):
        line = "Five boxing wizards jump over 0123456789 lazy dogs"[number % 7 :]
        draw.text((5, top), line, "black", ImageFont.load_default(11))
    return np.asarray(image)


def code(cell: int = 4, cells: int = 29) -> Pixels:
    """Black and white cells at random."""
    dark = np.random.default_rng(1).integers(0, 2, (cells, cells)).repeat(cell, 0).repeat(cell, 1)
    return (255 * dark[:, :, None].repeat(3, 2)).astype(np.uint8)


def sprites(cell: int = 5, cells: int = 24) -> Pixels:
    """Large pixels of few colours."""
    random = np.random.default_rng(2)
    colours = random.integers(0, 256, (8, 3)).astype(np.uint8)
    return colours[random.integers(0, 8, (cells, cells))].repeat(cell, 0).repeat(cell, 1)


def checkerboard(cell: int, side: int = 96) -> Pixels:
    """Black and white squares."""
    rows, columns = np.indices((side, side)) // cell
    return (255 * ((rows + columns) % 2)[:, :, None].repeat(3, 2)).astype(np.uint8)


def interface(height: int = 120, width: int = 160) -> Pixels:
    """Buttons with labels on gray."""
    image = Image.new("RGB", (width, height), (225, 228, 232))
    draw = ImageDraw.Draw(image)
    for number, top in enumerate(range(6, height - 24, 28)):
        draw.rounded_rectangle((8, top, 90, top + 20), 5, "white", (120, 125, 140))
        draw.text((16, top + 4), f"Button {number}", "black", ImageFont.load_default(11))
        draw.rectangle((104, top + 3, 118, top + 17), None, (60, 60, 70))
    return np.asarray(image)


def mixed(height: int = 160, width: int = 192) -> tuple[Pixels, NDArray[np.bool_]]:
    """Text beside what is no drawing, which may be a photograph; and where the text is."""
    pixels = picture(height, width, seed=3)
    noise = np.random.default_rng(4).normal(0, 6, pixels.shape)
    pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    drawn = np.zeros((height, width), np.bool_)
    drawn[:, width // 2 :] = True
    pixels[:, width // 2 :] = page(height, width - width // 2)
    return pixels, drawn


DRAWINGS = {
    "text": page(),
    "hard text": page(soft=False),
    "code": code(),
    "sprites": sprites(),
    "checkerboard 1": checkerboard(1),
    "checkerboard 3": checkerboard(3),
    "interface": interface(),
}


def lossless_size(pixels: Pixels) -> int:
    """Bytes as Pillow's lossless WebP."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    return len(file.getvalue())
