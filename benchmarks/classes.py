"""Many classes of pictures x codecs at equal bytes: what is exact, what comes near to it, and at what size.

    python -m benchmarks.classes            # writes results/classes.json and results/classes.md

Pictures are drawn by `benchmarks.class_pictures`. vqcodec sets the size, at one quality; the other codecs get
the lowest quality that takes as many bytes, or their lowest, if that takes more.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import class_pictures, codecs
from benchmarks.anchors import PILLOW_CODECS, PillowCodec
from benchmarks.class_patterns import SIDE
from benchmarks.class_pictures import DRAWN, Pixels
from benchmarks.processes import ROOT
from vqcodec.files import write_atomic
from vqcodec.metrics.rate_distortion import psnr

RESULTS = ROOT / "benchmarks" / "results"
LOSSLESS = "webp lossless"
MOST = 1.05
"""Drawn classes take at most so many times the bytes of lossless WebP."""
_WEBP4 = PillowCodec("webp", "WEBP", "webp", {"method": 4}, ())
OTHERS: tuple[codecs.Codec, ...] = (
    _WEBP4,
    *(codec for codec in PILLOW_CODECS if codec.name in ("jpeg", "avif-psnr")),
)


@dataclass(frozen=True)
class File:
    """One codec's file of a picture; its PSNR in dB is None where it is exact."""

    bytes: int
    psnr: float | None


@dataclass(frozen=True)
class Row:
    """One class: files by codec."""

    name: str
    drawn: bool
    files: dict[str, File]

    @property
    def ratio(self) -> float:
        """vqcodec's size over that of lossless WebP."""
        return self.files[codecs.VQCODEC].bytes / self.files[LOSSLESS].bytes

    @property
    def behind(self) -> float | None:
        """dB by which lossy WebP is ahead of vqcodec at equal bytes, or behind if below 0; None if exact."""
        ours, webp = self.files[codecs.VQCODEC].psnr, self.files["webp"].psnr
        return None if ours is None else math.inf if webp is None else webp - ours


def measure(name: str, pixels: Pixels, ours: codecs.Codec, quality: float) -> Row:
    """Code a picture with all codecs."""
    data = ours.encode(pixels, quality)
    files = {ours.name: _file(ours, pixels, data)}
    saved = io.BytesIO()
    Image.fromarray(pixels).save(saved, "WEBP", lossless=True)
    files[LOSSLESS] = File(len(saved.getvalue()), None)
    for codec in OTHERS:
        files[codec.name] = _file(codec, pixels, codecs.match(codec, pixels, len(data)))
    return Row(name, name in DRAWN, files)


def _file(codec: codecs.Codec, pixels: Pixels, data: bytes) -> File:
    value = psnr(pixels, codec.decode(data))
    return File(len(data), round(value, 2) if math.isfinite(value) else None)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    names = list(rows[0].files)
    head = [
        "class",
        *(f"{name}, B" if name == LOSSLESS else f"{name}, B, dB" for name in names),
        "to lossless",
    ]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [_cell(row.files[name], name == LOSSLESS) for name in names]
        lines.append([row.name, *cells, f"{row.ratio:.2f}"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(file: File, plain: bool) -> str:
    size = f"{file.bytes:,}".replace(",", " ")
    return size if plain else f"{size}, {'exact' if file.psnr is None else f'{file.psnr:.2f}'}"


def faults(rows: Sequence[Row]) -> list[str]:
    """What is not as it must be: drawn classes exact and small, and nothing far behind WebP."""
    found = []
    for row in rows:
        ours, lossless = row.files[codecs.VQCODEC], row.files[LOSSLESS]
        if row.drawn and ours.psnr is not None:
            found.append(f"{row.name}: not exact, {ours.psnr:.2f} dB")
        if row.drawn and row.ratio > MOST:
            found.append(f"{row.name}: {row.ratio:.2f} times lossless WebP")
        if ours.bytes > 1.01 * lossless.bytes + 200:
            found.append(f"{row.name}: {ours.bytes} bytes, lossless WebP {lossless.bytes}")
        if row.behind is not None and row.behind > 1:
            found.append(f"{row.name}: {row.behind:.2f} dB behind WebP at equal bytes")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the results; returns 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(prog="classes", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="default", help="name or path of the weights")
    parser.add_argument("--quality", type=float, default=50.0)
    parser.add_argument("--only", nargs="+", choices=class_pictures.CLASSES, help="some of the classes")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    args = parser.parse_args(argv)
    ours = codecs.make(codecs.VQCODEC, model=args.model)
    rows = []
    for name in args.only or class_pictures.CLASSES:
        rows.append(measure(name, class_pictures.pixels_of(name), ours, args.quality))
        print(name, file=sys.stderr)
    all_codecs = (ours, *OTHERS)
    found: dict[str, Any] = {
        "quality": args.quality,
        "side": SIDE,
        "settings": {codec.name: codec.settings for codec in all_codecs},
        "versions": {codec.name: codec.versions for codec in all_codecs},
        "rows": [asdict(row) for row in rows],
        "faults": faults(rows),
    }
    text = table(rows)
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomic(args.out / "classes.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomic(args.out / "classes.md", text.encode())
    print(text, *found["faults"], sep="\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
