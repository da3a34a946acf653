"""One self-contained HTML page: curves, tables, and a viewer that lays two codecs over each other.

    python -m benchmarks.report.page kodak.json --speed speed.json --out curves.html
    python -m benchmarks.report.page ... --data kodak/ --pictures kodim05.png kodim23.png --rates 19 50

Figures come from result files; only the viewer's pictures (with --data) are coded anew. Files that browsers
show are embedded as they are, other codecs' pictures as lossless WebP: about 1.5 MB for a picture and rate.
The page loads nothing from anywhere.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import codecs, measures
from benchmarks.anchors import Pixels
from benchmarks.bd_rate import RatePoint
from benchmarks.rate_distortion import find_pictures, read_pixels
from benchmarks.report import curves, speed_tables
from benchmarks.report.results import FIGURES, LOWER_IS_BETTER, ResultError, Results, load
from vqcodec.errors import ModelNotFound
from vqcodec.files import check_writable
from vqcodec.metrics.rate_distortion import bpp, psnr

TEMPLATE = Path(__file__).with_name("page.html")
CODECS = ("jpeg", "webp", "avif", "jxl", "vqcodec", "vqcodec-r1")
NATIVE = {"jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif", "avif-psnr": "image/avif"}
"""Codecs whose files browsers show."""
WIDTH, HEIGHT, LEFT, BOTTOM = 720, 440, 44, 40


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """A table with the first row as its head."""
    lines = [
        "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for row, tag in zip(rows, ["th", *["td"] * (len(rows) - 1)], strict=True)
    ]
    return '<div class="scroll"><table>' + "\n".join(lines) + "</table></div>"


def svg(measured: curves.Curves, published: curves.Curves, most: float = 2.0) -> str:
    """A plot of PSNR over bpp up to `most`, and its key; colours follow the page's light or dark scheme."""
    shown = {n: [p for p in c if p.bpp <= most] for n, c in {**measured, **published}.items()}
    values = [p.value for curve in shown.values() for p in curve]
    low, high = int(min(values)), int(max(values)) + 1

    def at(p: RatePoint) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - 14) * p.bpp / most
        return across, 8 + (HEIGHT - BOTTOM - 8) * (high - p.value) / (high - low)

    parts, keys = [], []
    for level in range(low + low % 2, high + 1, 2):
        y = at(RatePoint(0, level))[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 14}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{level}</text>')
    for tenth in range(0, int(10 * most) + 1, 5):
        x = at(RatePoint(tenth / 10, low))[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tenth / 10}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">bits per pixel</text>')
    parts.append('<text x="4" y="14">dB</text>')
    for i, (name, curve) in enumerate(shown.items()):
        line = " ".join("{:.1f},{:.1f}".format(*at(p)) for p in curve)
        look = ' class="published"' if name in published else ""
        look += f' style="stroke: var(--c{i % 8})"'
        label = html.escape(name)
        parts.append(f'<polyline{look} points="{line}"><title>{label}</title></polyline>')
        swatch = f'<svg viewBox="0 0 24 8"><polyline{look} points="0,4 24,4"/></svg>'
        keys.append(f"<li>{swatch}{label}</li>")
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="PSNR over rate"'
    plot = f'<div class="scroll"><svg class="plot" {box}>{"".join(parts)}</svg></div>'
    return f'{plot}<ul class="keys">{"".join(keys)}</ul>'


def curves_section(results: Results, published: curves.Curves) -> str:
    """Plot and BD-rate table."""
    measured = {name: results.curve(name) for name in results.codecs}
    first = sorted(
        measured, key=lambda name: not name.startswith("vqcodec")
    )  # ours takes the strongest colour
    plot = svg({name: measured[name] for name in first}, published)
    count = len(results.dataset)
    more = "".join(
        html_table(curves.bd_rows(results, figure=figure))
        for figure in FIGURES[1:]
        if any(results.curve(name, figure) for name in results.codecs)
    )
    about = f"Mean of {count} pictures, whole files, PSNR on 8-bit RGB. Dashed: published by others."
    return (
        f"<section><h2>Rate and distortion</h2><figure>{plot}<figcaption>{about}</figcaption></figure>"
        "<h2>BD-rate</h2><p>Bits more (+) or fewer (-) at equal quality, and the range of it.</p>"
        f"{html_table(curves.bd_rows(results, published))}{more}</section>"
    )


def speed_section(path: Path) -> str:
    """Table of a result file of `benchmarks.speed`.

    Raises:
        ResultError: it is not one.
    """
    try:
        tables = speed_tables.all_tables(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path}: not a result file of benchmarks.speed ({error!r})") from error
    parts = [f"<p>{head}</p>{html_table(rows)}" for head, rows in tables]
    return f"<section><h2>Speed</h2>{''.join(parts)}</section>"


def _embed(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _lossless(pixels: Pixels) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, method=4)
    return _embed(file.getvalue(), "image/webp")


def said_of(original: Pixels, decoded: Pixels, size: int, figures: Sequence[str]) -> str:
    """What is told below a picture of `size` bytes; PSNR, and what the judges `figures` find."""
    height, width = original.shape[:2]
    parts = [f"{size} bytes, {bpp(size, width, height):.3f} bpp, {psnr(original, decoded):.2f} dB"]
    for name in figures:
        value = measures.judge(name)(original, decoded)
        parts.append(f"{curves.NAMES[name]} {value:.4g}" + (" (lower is better)" * (name in LOWER_IS_BETTER)))
    return ", ".join(parts)


def picture_entry(
    path: Path,
    rates: Sequence[float],
    reference: codecs.Codec,
    used: Sequence[codecs.Codec],
    figures: Sequence[str] = (),
) -> dict[str, Any]:
    """What the viewer needs of one picture: every codec at each rate, as data addresses."""
    pixels = read_pixels(path)
    height, width = pixels.shape[:2]
    entry: dict[str, Any] = {
        "name": path.name,
        "width": width,
        "height": height,
        "original": {"src": _lossless(pixels), "said": "as it was"},
        "rates": {},
    }
    for rate in rates:
        ours, cells = reference.encode(pixels, rate), {}
        for codec in used:
            data = codecs.at_equal_bytes(codec, pixels, ours)
            decoded = codec.decode(data)
            native = NATIVE.get(codec.name)
            cells[codec.name] = {
                "src": _embed(data, native) if native else _lossless(decoded),
                "said": said_of(pixels, decoded, len(data), figures),
            }
        entry["rates"][f"{bpp(len(ours), width, height):.2f} bpp (quality {rate:g})"] = cells
    return entry


def build(intro: str, sections: Sequence[str], pictures: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    # "</" would end the script element that holds the data.
    data = json.dumps(pictures).replace("</", "<\\/")
    parts = {"@INTRO@": html.escape(intro), "@SECTIONS@": "\n".join(sections), "@DATA@": data}
    page = TEMPLATE.read_text(encoding="utf-8")
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="page", description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path, metavar="JSON", help="result file of rate_distortion")
    parser.add_argument("--published", type=Path, metavar="JSON", help="published curves to compare with")
    parser.add_argument("--speed", type=Path, metavar="JSON", help="result file of speed")
    parser.add_argument("--data", type=Path, metavar="DIR", help="pictures for the viewer")
    parser.add_argument("--pictures", nargs="+", metavar="NAME", help="of --data; default: all")
    parser.add_argument(
        "--rates", nargs="+", type=float, default=[19.0, 50.0], metavar="Q", help="of vqcodec"
    )
    parser.add_argument(
        "--codecs", nargs="+", default=CODECS, choices=codecs.CODEC_NAMES, help="in the viewer"
    )
    what = "told below the pictures, beside PSNR"
    parser.add_argument("--figures", nargs="+", default=(), choices=measures.NAMES, help=what)
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--out", type=Path, required=True, metavar="HTML")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        check_writable(args.out)
        results = load(args.results)
        published = curves.load_published(args.published) if args.published else {}
        sections = [curves_section(results, published)]
        if args.speed:
            sections.append(speed_section(args.speed))
        paths = find_pictures(args.data) if args.data else {}
        if args.pictures:
            paths = {name: args.data / name for name in args.pictures}
        entries = []
        if paths:  # without, no weights are needed
            reference = codecs.make(codecs.VQCODEC, model=args.model)
            used = [codecs.make(name, model=args.model) for name in args.codecs]
            entries = [
                picture_entry(path, args.rates, reference, used, args.figures) for path in paths.values()
            ]
        versions = {k: v for codec in results.codecs.values() for k, v in codec.versions.items()}
        said = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        args.out.write_text(build(f"Measured with {said}.", sections, entries), encoding="utf-8")
    except (ResultError, ModelNotFound, OSError, ValueError, ImportError) as error:
        print(f"page: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
