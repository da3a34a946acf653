"""Pictures of many classes, drawn here with fixed seeds: what a folder holds beside photographs.

All are uint8 RGB (SIDE, SIDE, 3). Letters are those of Pillow's own font; what needs a photograph takes the
packaged samples.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.class_patterns import (
    SIDE,
    checkerboard,
    code,
    gradient,
    grained,
    noise,
    pixel_art,
    stripes,
)

Pixels = NDArray[np.uint8]
TEXT = (
    "The quick brown fox jumps over a lazy dog while five boxing wizards pack a box of jugs and the old "
    "harbour sleeps under rain that nobody ordered; numbers 0123456789 and signs (+-*/=%) fill the rest"
)
WORDS = TEXT.split()
DRAWN = (
    *("text", "text, hard edges", "interface", "code", "line drawing", "pixel art"),
    *(f"checkerboard {n}" for n in (1, 2, 4, 8)),
    *("saturated stripes", "flat", "chart", "map"),
)
"""Classes that must come back exact."""


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


def sheet(colour: str | tuple[int, int, int] = "white") -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty picture, and what draws on it."""
    image = Image.new("RGB", (SIDE, SIDE), colour)
    return image, ImageDraw.Draw(image)


def photograph() -> Image.Image:
    """A part of a packaged sample, SIDE pixels wide and high."""
    with as_file(files("vqcodec") / "samples" / "dog.png") as path, Image.open(path) as image:
        return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def write(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int, ink: str, seed: int) -> None:
    """Fill a box (left, top, right, bottom) with lines of words."""
    random = np.random.default_rng(seed)
    left, top, right, bottom = box
    while top + size <= bottom:
        line = ""
        while draw.textlength(line, font(size)) < right - left:
            line += str(random.choice(WORDS)) + " "
        draw.text((left, top), line.rsplit(" ", 2)[0], ink, font(size))
        top += round(size * 1.35)


def text(hard: bool = False) -> Image.Image:
    """A printed page, with soft edges of letters or hard ones."""
    image, draw = sheet()
    draw.fontmode = "1" if hard else "L"
    draw.text((24, 14), "A heading of the page", "navy", font(26))
    write(draw, (24, 56, SIDE - 20, 260), 13, "black", 1)
    write(draw, (24, 270, SIDE - 20, SIDE - 10), 11, "black", 2)
    return image


def interface() -> Image.Image:
    """A window with a title, buttons, fields and a list."""
    image, draw = sheet((236, 238, 241))
    for row in range(30):
        draw.line((0, row, SIDE, row), (52 + row, 92 + row, 160 + row))
    draw.text((10, 7), "Preferences", "white", font(15))
    for number, label in enumerate(("General", "Colours", "Network", "Printing", "About")):
        top = 44 + 40 * number
        draw.rounded_rectangle((14, top, 116, top + 30), 7, "white", (150, 160, 175))
        draw.text((26, top + 8), label, (30, 30, 40), font(13))
    draw.rectangle((134, 44, SIDE - 14, 270), "white", (170, 175, 185))
    for row in range(11):
        top = 46 + 20 * row
        if row == 3:
            draw.rectangle((135, top, SIDE - 15, top + 19), (51, 120, 214))
        draw.text((144, top + 3), f"Item {row + 1}: {WORDS[row]} {WORDS[row + 9]}",
                  "white" if row == 3 else "black", font(12))  # fmt: skip
        draw.rectangle((SIDE - 34, top + 4, SIDE - 22, top + 16), None, (110, 110, 120))
    for number, label in enumerate(("Cancel", "Apply", "OK")):
        left = 134 + 80 * number
        draw.rounded_rectangle((left, 300, left + 70, 330), 5, (222, 226, 232), (140, 145, 155))
        draw.text((left + 14, 308), label, "black", font(13))
    return image


def line_drawing() -> Image.Image:
    """Smooth dark lines on paper, soft edges."""
    image = Image.new("L", (4 * SIDE, 4 * SIDE), 255)
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(4)
    for _ in range(26):
        middle, size = random.uniform(0, 4 * SIDE, 2), random.uniform(60, 700, 2)
        start = random.uniform(0, 360)
        box = (*(middle - size / 2), *(middle + size / 2))
        draw.arc(box, start, start + random.uniform(90, 330), 0, int(random.integers(4, 11)))
    return image.resize((SIDE, SIDE), Image.Resampling.BOX).convert("RGB")


def chart() -> Image.Image:
    """Bars, a line, axes and labels."""
    image, draw = sheet()
    random = np.random.default_rng(7)
    draw.text((110, 10), "Sales by quarter", "black", font(18))
    for step in range(6):
        y = 330 - 52 * step
        draw.line((44, y, 364, y), (220, 220, 220))
        draw.text((12, y - 7), f"{20 * step}", "black", font(12))
    points = []
    for number in range(8):
        left, top = 58 + 38 * number, int(random.integers(80, 300))
        draw.rectangle((left, top, left + 24, 330), ("steelblue", "orange")[number % 2])
        draw.text((left, 336), f"Q{number + 1}", "black", font(12))
        points.append((left + 12, int(random.integers(70, 310))))
    draw.line(points, "crimson", 2)
    draw.line((44, 60, 44, 330, 364, 330), "black")
    return image


def map_() -> Image.Image:
    """Areas, roads with edges, and names."""
    image, draw = sheet((242, 239, 233))
    random = np.random.default_rng(8)
    for area in ((170, 211, 223), (205, 235, 176), (200, 220, 170), (224, 223, 223)):
        middle = random.uniform(40, SIDE - 40, 2)
        angles = np.sort(random.uniform(0, 2 * math.pi, 14))
        radii = random.uniform(40, 120, 14)
        corners = middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        draw.polygon([tuple(corner) for corner in corners], area)
    for width, edge, colour in ((9, (180, 150, 90), (252, 214, 164)), (5, (190, 190, 190), "white")):
        for _ in range(7):
            ends = [tuple(random.uniform(0, SIDE, 2)) for _ in range(4)]
            draw.line(ends, edge, width)
            draw.line(ends, colour, width - 2)
    for number in range(14):
        place = random.uniform(0, SIDE - 70, 2)
        draw.text(tuple(place), WORDS[number].title() + " Street", (60, 60, 60), font(11))
    return image


def scan() -> Image.Image:
    """A page of text from a scanner: blurred, uneven paper, noise."""
    blurred = text().filter(ImageFilter.GaussianBlur(0.7))
    shade = 232 - 18 * np.indices((SIDE, SIDE))[1] / SIDE
    return grained(
        Image.fromarray((np.asarray(blurred) / 255 * shade[:, :, None] + 8).astype(np.uint8)), 2.5, 9
    )


def captioned() -> Image.Image:
    """A photograph above a strip with words."""
    image = photograph()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, SIDE - 58, SIDE, SIDE), "white")
    draw.text((16, SIDE - 50), "A dog at the water's edge", "black", font(17))
    draw.text((16, SIDE - 26), "Photograph taken in the afternoon, 2024", (90, 90, 90), font(12))
    return image


def page_with_photograph() -> Image.Image:
    """Text around a photograph."""
    image, draw = sheet()
    write(draw, (20, 14, SIDE - 16, 110), 13, "black", 10)
    image.paste(photograph().resize((203, 171)), (21, 121))
    write(draw, (236, 120, SIDE - 8, 300), 12, "black", 11)
    write(draw, (20, 306, SIDE - 16, SIDE - 8), 13, "black", 12)
    return image


def comic() -> Image.Image:
    """Flat colours, thick soft outlines, dots of a raster, a balloon."""
    image = Image.new("RGB", (3 * SIDE, 3 * SIDE), (250, 222, 150))
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(11)
    for y in range(0, 3 * SIDE, 22):
        for x in range(y // 22 % 2 * 11, 3 * SIDE // 2, 22):
            draw.ellipse((x, y, x + 11, y + 11), (236, 160, 120))
    for _ in range(9):
        left, top = random.uniform(0, 3 * SIDE - 300, 2)
        wide, tall = random.uniform(120, 420, 2)
        colour = tuple(int(c) for c in random.integers(40, 256, 3))
        draw.ellipse((left, top, left + wide, top + tall), colour, "black", 11)
    draw.rounded_rectangle((480, 60, 1100, 300), 90, "white", "black", 9)
    image = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    ImageDraw.Draw(image).text((190, 44), "WHAT IS THAT\nON THE ROOF?", "black", font(18))
    return image


CLASSES: dict[str, Callable[[], Image.Image]] = {
    "text": text,
    "text, hard edges": functools.partial(text, hard=True),
    "interface": interface,
    "code": code,
    "line drawing": line_drawing,
    "pixel art": pixel_art,
    **{f"checkerboard {cell}": functools.partial(checkerboard, cell) for cell in (1, 2, 4, 8)},
    "saturated stripes": stripes,
    "noise": noise,
    "film grain": lambda: grained(photograph(), 9, 12),
    "gradient": gradient,
    "flat": lambda: sheet((70, 130, 180))[0],
    "chart": chart,
    "map": map_,
    "scan": scan,
    "photograph": photograph,
    "photograph with caption": captioned,
    "page with photograph": page_with_photograph,
    "comic": comic,
}
"""Name -> what draws it."""


def pixels_of(name: str) -> Pixels:
    """The picture of a class as uint8 (SIDE, SIDE, 3)."""
    return np.asarray(CLASSES[name]().convert("RGB"))
