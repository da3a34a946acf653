"""A page of crops side by side at equal bytes, to judge by eye what `benchmarks.perceptual` puts in figures.

    python -m benchmarks.report.crops --data kodak/ --at kodim01.png:130,150 kodim13.png:430,300 --out
    crops.png

One row for each --at NAME:X,Y (left upper corner), one column for each codec; the whole picture is coded, and
other codecs take at least vqcodec's bytes, as in `benchmarks.perceptual`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks import codecs
from benchmarks.anchors import Pixels
from benchmarks.rate_distortion import read_pixels
from vqcodec.errors import ModelNotFound
from vqcodec.metrics.rate_distortion import bpp, psnr

CODECS = ("avif", "jxl", "vqcodec", "vqcodec-r1")
MARGIN, CAPTION = 6, 34


@dataclass(frozen=True)
class Place:
    """Where a crop is taken: a file's name and the left upper corner in pixels."""

    name: str
    x: int
    y: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """From "NAME:X,Y".

        Raises:
            ValueError: it has another form.
        """
        name, _, corner = text.rpartition(":")
        x, y = (int(part) for part in corner.split(","))
        if not name or min(x, y) < 0:
            raise ValueError(f"not NAME:X,Y: {text}")
        return cls(name, x, y)


def cut(pixels: Pixels, place: Place, side: int, scale: int) -> Image.Image:
    """The square of `side` pixels at a place, each pixel shown as `scale` x `scale`.

    Raises:
        ValueError: it does not lie within the picture.
    """
    height, width = pixels.shape[:2]
    if place.x + side > width or place.y + side > height:
        raise ValueError(f"{place.name}: no {side}x{side} crop at {place.x},{place.y} of {width}x{height}")
    crop = Image.fromarray(pixels).crop((place.x, place.y, place.x + side, place.y + side))
    return crop.resize((side * scale, side * scale), Image.Resampling.NEAREST)


def row(
    path: Path,
    place: Place,
    reference: codecs.Codec,
    used: Sequence[codecs.Codec],
    quality: float,
    size: tuple[int, int],
) -> list[tuple[str, Image.Image]]:
    """(caption, crop) of the original and of each codec; `size` is the side of a crop and its scale."""
    pixels = read_pixels(path)
    height, width = pixels.shape[:2]
    ours = reference.encode(pixels, quality)
    cells = [(f"original, {place.name}", cut(pixels, place, *size))]
    for codec in used:
        file = codecs.at_equal_bytes(codec, pixels, ours)
        decoded = codec.decode(file)
        caption = f"{codec.name}\n{bpp(len(file), width, height):.3f} bpp  {psnr(pixels, decoded):.2f} dB"
        cells.append((caption, cut(decoded, place, *size)))
    return cells


def page(rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> Image.Image:
    """All cells in a grid, captions below them."""
    font = ImageFont.load_default(13)
    side = rows[0][0][1].width
    width = MARGIN + len(rows[0]) * (side + MARGIN)
    sheet = Image.new("RGB", (width, MARGIN + len(rows) * (side + CAPTION + MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, cells in enumerate(rows):
        for j, (caption, crop) in enumerate(cells):
            x, y = MARGIN + j * (side + MARGIN), MARGIN + i * (side + CAPTION + MARGIN)
            sheet.paste(crop, (x, y))
            draw.multiline_text((x, y + side + 1), caption, fill="black", font=font, spacing=2)
    return sheet


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("places are NAME:X,Y") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Make the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="crops", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--at", type=_place, nargs="+", required=True, metavar="NAME:X,Y")
    parser.add_argument("--codecs", nargs="+", default=CODECS, choices=codecs.CODEC_NAMES)
    parser.add_argument("--quality", type=float, default=23.0, help="of vqcodec; 23 is about 0.15 bpp")
    parser.add_argument("--side", type=int, default=160, help="of a crop in pixels")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    args = parser.parse_args(argv)
    try:
        size = args.side, args.scale
        reference = codecs.make(codecs.VQCODEC, model=args.model)
        used = [codecs.make(name, model=args.model) for name in args.codecs]
        rows = [row(args.data / at.name, at, reference, used, args.quality, size) for at in args.at]
        page(rows).save(args.out)
    except (ModelNotFound, OSError, ValueError, ImportError) as error:
        print(f"crops: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
