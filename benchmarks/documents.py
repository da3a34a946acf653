"""Draw printed pages, a kind of picture that the packaged model knows badly, to show what specialising gains.

    python -m benchmarks.documents --out pages/ --count 300
    python -m benchmarks.documents --out held/ --count 12 --held-out

Pages of 576x576 pixels: text of this project's own documents, headings, rules, bars of a chart; ink and paper
in the colours of print. Fonts are those that matplotlib carries: a seed and a version of the project give one
set of pages on every machine. Pages held out have another text, and fonts that the others never show.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.processes import ROOT

SIDE = 576
TEXTS = ("README.md", "LICENSE", "CONTRIBUTING.md", "vqcodec/bitstream/FORMAT.md")
HELD_TEXTS = ("vqcodec/weights/MODEL_CARD.md",)
FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "DejaVuSerif-Italic", "cmss10")
HELD_FONTS = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10")


def font_folder() -> Path:
    """Where matplotlib keeps its fonts.

    Raises:
        ImportError: it is not installed.
    """
    import matplotlib  # noqa: PLC0415  an extra

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def words_of(names: Sequence[str]) -> list[str]:
    """All words of some files of the project."""
    return [word for name in names for word in (ROOT / name).read_text(encoding="utf-8").split()]


def page(random_: random.Random, words: Sequence[str], fonts: Sequence[Path]) -> Image.Image:
    """One page."""
    paper = tuple(random_.randint(low, 255) for low in (238, 234, 222))
    ink = tuple(random_.randint(0, 60) for _ in range(3))
    accent = tuple(random_.randint(20, 200) for _ in range(3))
    image = Image.new("RGB", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(image)
    body, bold = (str(random_.choice(fonts)) for _ in range(2))
    size, left = random_.randint(11, 22), random_.randint(8, 60)
    font, heading = ImageFont.truetype(body, size), ImageFont.truetype(bold, round(size * 1.6))
    y, at = random_.randint(4, 30), random_.randrange(len(words))
    while y < SIDE:
        kind = random_.random()
        if kind < 0.08:
            draw.text((left, y), " ".join(words[at : at + 4]), accent, heading)
            y += round(size * 2.4)
        elif kind < 0.11:
            draw.line((left, y + 4, SIDE - left, y + 4), ink, random_.randint(1, 3))
            y += 12
        elif kind < 0.13:
            for _ in range(random_.randint(3, 6)):
                draw.rectangle((left, y, left + random_.randint(20, SIDE - 2 * left), y + size - 3), accent)
                y += size
            y += size
        else:
            line = ""
            while at < len(words) and draw.textlength(f"{line} {words[at]}", font) < SIDE - 2 * left:
                line, at = f"{line} {words[at]}", at + 1
            draw.text((left, y), line.strip(), ink, font)
            y += round(size * 1.35)
        at = (at + 1) % len(words)
    return image


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the pages; returns the exit status."""
    parser = argparse.ArgumentParser(prog="documents", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="other texts and other fonts")
    args = parser.parse_args(argv)
    try:
        folder = font_folder()
        names, texts = (HELD_FONTS, HELD_TEXTS) if args.held_out else (FONTS, TEXTS)
        fonts, words = [folder / f"{name}.ttf" for name in names], words_of(texts)
        args.out.mkdir(parents=True, exist_ok=True)
        for number in range(args.count):
            seeded = random.Random(f"{args.seed} {args.held_out} {number}")
            page(seeded, words, fonts).save(args.out / f"page{number:04}.png")
    except (OSError, ImportError) as error:
        print(f"documents: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
