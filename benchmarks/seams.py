"""Errors of what the networks decode, by distance from what is drawn and from the borders of tiles.

    python -m benchmarks.seams --data photos/ --quality 20 50 80

From each photograph a page of text is made that leaves a rectangle of it open. Rings are pixels of the
rectangle at 1, 2, ... pixels from what is drawn; "inside" is what is further away than all of them. "true"
are the same pixels with the rest of the photograph around them instead of text, at one level: their error
without any border. For tiles, a part of the photograph is coded in tiles of 128, and "true" in one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import vqcodec
from benchmarks.class_patterns import SIDE
from benchmarks.class_pictures import photograph, write
from benchmarks.rate_distortion import find_pictures, read_pixels
from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.compress.drawn_blocks import beside
from vqcodec.image.webp import Mask, Pixels, read_webp

RINGS = (1, 2, 3, 4, 8, 12)
"""Each ring ends so many pixels away from the border."""
NAMES = ("1", "2", "3", "4", "5-8", "9-12", "inside")
TILE = 128
MOST = 1.1
"""A ring with this many times the error inside, and that it has without a border, is a seam."""


@dataclass
class Seam:
    """Mean squared errors of several pictures in each ring and inside.

    Attributes:
        coded, true: one row for each picture; "true" is without the border.
    """

    coded: list[list[float]] = field(default_factory=list)
    true: list[list[float]] = field(default_factory=list)

    def add(self, distance: NDArray[np.intp], coded: NDArray[np.float64], true: NDArray[np.float64]) -> None:
        """Errors (H, W) of a picture; distance counts rings from 1, and is 0 where nothing is looked at."""
        rings = [distance == number for number in range(1, len(NAMES) + 1)]
        if all(ring.any() for ring in rings):
            self.coded.append([float(coded[ring].mean()) for ring in rings])
            self.true.append([float(true[ring].mean()) for ring in rings])

    def means(self) -> tuple[list[float], list[float]]:
        """Of all pictures, coded and true."""
        coded, true = np.mean(self.coded, 0), np.mean(self.true, 0)
        return [float(x) for x in coded], [float(x) for x in true]

    def rows(self, name: str) -> list[str]:
        """As text."""
        kinds = zip((name, "true"), self.means(), strict=True)
        return [f"{kind:24}" + "".join(f"{x:8.2f}" for x in values) for kind, values in kinds]

    def visible(self) -> list[str]:
        """Rings whose error is clearly higher than inside, and than it is without the border."""
        (*coded, inside), true = self.means()
        usual = [max(inside, there) for there in true]
        rings = zip(NAMES, coded, usual, strict=False)
        return [f"ring {name}: {x / most:.2f} of the usual" for name, x, most in rings if x > MOST * most]


def page(source: Pixels, seed: int) -> tuple[Pixels, Pixels, Mask]:
    """A page of text around a part of a photograph, that photograph without text, and where it is open."""
    random = np.random.default_rng(seed)
    top, left = (int(random.integers(0, side - SIDE + 1)) for side in source.shape[:2])
    under = source[top : top + SIDE, left : left + SIDE]
    wide, tall = int(random.integers(170, 230)), int(random.integers(150, 220))
    x, y = int(random.integers(8, 40)), int(random.integers(112, 128))
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(image)
    write(draw, (20, 14, SIDE - 16, 110), 13, "black", 3 * seed)
    write(draw, (x + wide + 12, 120, SIDE - 8, 300), 12, "black", 3 * seed + 1)
    write(draw, (20, y + tall + 8, SIDE - 16, SIDE - 8), 13, "black", 3 * seed + 2)
    place = slice(y, y + tall), slice(x, x + wide)
    image.paste(Image.fromarray(under[place]), (x, y))
    inside = np.zeros((SIDE, SIDE), np.bool_)
    inside[place] = True
    return np.asarray(image), under, inside


def rings(border: Mask) -> NDArray[np.intp]:
    """The number of the ring of each pixel, from 1, and 0 within the border."""
    number, near = np.full(border.shape, len(NAMES)), border
    number[border] = 0
    for step in range(1, RINGS[-1] + 1):
        wider = beside(near)
        number[wider & ~near] = np.searchsorted(RINGS, step) + 1
        near = wider
    return number


def beside_text(codec: Codec, source: Pixels, seed: int, quality: float, seam: Seam) -> None:
    """Add a page, unless nothing of it, or all, is coded as drawn."""
    pixels, under, inside = page(source, seed)
    data = codec.compress(pixels, quality=quality)
    container = parse(data)
    if not container.drawn or container.drawn_whole[0]:
        return
    drawn = read_webp(container.drawn[0] or b"")[1]
    assert drawn is not None
    decoded = np.asarray(codec.decompress(data))
    true = _whole(codec, under, container.header.level)
    seam.add(rings(drawn | ~inside), squared(decoded, pixels), squared(true, under))


def between_tiles(codec: Codec, source: Pixels, level: int, seam: Seam) -> None:
    """Add a part of a photograph in tiles of `TILE`."""
    pixels = source[:SIDE, :SIDE]
    border = np.zeros(pixels.shape[:2], np.bool_)
    border[TILE::TILE] = border[:, TILE::TILE] = True  # the first row of each tile, ring 1 on one side
    distance = rings(border)
    distance[border] = 1
    coded = _whole(codec, pixels, level, TILE)
    seam.add(distance, squared(coded, pixels), squared(_whole(codec, pixels, level), pixels))


def _whole(codec: Codec, pixels: Pixels, level: int, tile: int = 0) -> Pixels:
    """What the networks make of pixels."""
    height, width = pixels.shape[:2]
    segments = codec.encode(pixels, level, tile).segments
    return codec.decode(segments, width=width, height=height, level=level, tile=tile)


def squared(decoded: Pixels, pixels: Pixels) -> NDArray[np.float64]:
    """Squared error (H, W) of 8-bit samples, the mean of the three."""
    return np.square(decoded.astype(np.float64) - pixels).mean(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 1 if a ring is clearly worse than what is inside."""
    parser = argparse.ArgumentParser(prog="seams", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="photographs, else a packaged one")
    parser.add_argument("--model", default="default", help="name or path of the weights")
    parser.add_argument("--quality", type=float, nargs="+", default=[50.0])
    parser.add_argument("--pages", type=int, default=1, help="of each photograph")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    args = parser.parse_args(argv)
    codec = vqcodec.load(args.model)
    paths = list(find_pictures(args.data).values()) if args.data else []
    sources = [read_pixels(path) for path in paths] or [np.asarray(photograph())]
    sources = [source for source in sources if min(source.shape[:2]) >= SIDE]
    found, faults = {}, []
    print(f"{'squared error, ring':24}" + "".join(f"{name:>8}" for name in NAMES))
    for quality in args.quality:
        text, tiles = Seam(), Seam()
        for number, source in enumerate(sources):
            for seed in range(args.pages * number, args.pages * (number + 1)):
                beside_text(codec, source, seed, quality, text)
            between_tiles(codec, source, round(2.52 * quality), tiles)
        for name, seam in (("text", text), ("tiles", tiles)):
            if seam.coded:
                print(*seam.rows(f"{quality:g}, {len(seam.coded)} x {name}"), sep="\n", flush=True)
                faults += [f"quality {quality:g}, {name}, {fault}" for fault in seam.visible()]
                found[f"{name} {quality:g}"] = dict(zip(("coded", "true"), seam.means(), strict=True))
    print(*faults, sep="\n")
    if args.json:
        args.json.write_text(json.dumps({"rings": NAMES, "mse": found, "faults": faults}, indent=1) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
