"""Tables and plots from result files, measuring nothing.

    python -m benchmarks.report.curves benchmarks/results/kodak.json \
        --published benchmarks/published_kodak.json
    python -m benchmarks.report.curves pages_new.json --against pages_old.json

Published curves are other people's figures: they carry the word "published" wherever they appear and are
never mixed with what was measured here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bd_rate import RatePoint, bd_rate
from benchmarks.report.results import FIGURES, ResultError, Results, load

NAMES = {
    "psnr": "PSNR, dB",
    "ms_ssim": "MS-SSIM",
    "ssimulacra2": "SSIMULACRA2",
    "butteraugli": "Butteraugli",
    "cvvdp": "ColorVideoVDP",
    "lpips": "LPIPS",
    "dists": "DISTS",
}
Curves = Mapping[str, list[RatePoint]]


def load_published(path: Path) -> dict[str, list[RatePoint]]:
    """Curves of a file {"curves": {name: {"bpp": [...], "psnr": [...], ...}}}, called "NAME, published".

    Raises:
        ResultError: the file has another form.
        OSError: the file cannot be read.
    """
    try:
        curves = json.loads(path.read_text(encoding="utf-8"))["curves"]
        return {
            f"{name}, published": [RatePoint(b, p) for b, p in zip(curve["bpp"], curve["psnr"], strict=True)]
            for name, curve in curves.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{path}: not a file of published curves ({error!r})") from error


def rd_table(results: Results) -> str:
    """Mean bpp and figures of every complete point as a text table."""
    found = [f for f in FIGURES if f == "psnr" or any(results.curve(name, f) for name in results.codecs)]
    rows = [["codec", "quality", "bpp", *(NAMES[f] for f in found)]]
    for name, codec in results.codecs.items():
        for quality in sorted(codec.points):
            means = [codec.points[quality].mean(len(results.dataset), f) for f in found]
            rate = "-" if means[0] is None else f"{means[0].bpp:.4f}"
            values = ["-" if m is None else f"{m.value:.5g}" for m in means]
            rows.append([name, f"{quality:g}", rate, *values])
    return table(rows)


def bd_table(results: Results, published: Curves | None = None, figure: str = "psnr") -> str:
    """The rows of `bd_rows` as a text table."""
    return table(bd_rows(results, published, figure))


def bd_rows(results: Results, published: Curves | None = None, figure: str = "psnr") -> list[list[str]]:
    """PCHIP BD-rate of each tested codec (columns) against each other curve (rows), with the common range.

    vqcodec, at any effort, is the only tested codec once it is among the results; before that every codec is
    tested against every other.
    """
    curves = {name: results.curve(name, figure) for name in results.codecs}
    tested = [name for name in curves if name.startswith("vqcodec")] or list(curves)
    anchors: Curves = {**curves, **(published or {})}
    rows = [[f"BD-rate ({NAMES[figure]}) against", *tested]]
    for anchor, anchor_curve in anchors.items():
        if [anchor] != tested:
            rows.append([anchor, *(_bd_cell(anchor_curve, curves[t], anchor == t, figure) for t in tested)])
    return rows


def percent_changes(variants: Mapping[str, Any]) -> dict[str, list[float]]:
    """The cost J of each variant of `benchmarks.variants.ablation` at every level, in percent against
    the default.
    """
    base = [point["cost"] for point in variants["default"]["points"]]
    return {
        name: [100 * (point["cost"] / first - 1) for point, first in zip(result["points"], base, strict=True)]
        for name, result in variants.items()
    }


def change_rows(results: Results, before: Results) -> list[list[str]]:
    """BD-rate of each codec against the codec of that name in another result file, of other weights say.

    Raises:
        ResultError: the files are of other pictures.
    """
    if results.dataset != before.dataset:
        raise ResultError("the result files are of different pictures")
    common = [name for name in results.codecs if name in before.codecs]
    cells = [_bd_cell(before.curve(name), results.curve(name), False, "psnr") for name in common]
    return [["BD-rate (PSNR) against the other file", ""], *map(list, zip(common, cells, strict=True))]


def plot(results: Results, published: Curves, path: Path) -> bool:
    """Draw all curves; returns False, drawing nothing, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError:
        return False
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    for name in results.codecs:
        curve = results.curve(name)
        look = {"lw": 2.5, "color": "black"} if name == "vqcodec" else {"lw": 1.2}
        axes.plot([p.bpp for p in curve], [p.value for p in curve], marker="o", ms=3, label=name, **look)
    for number, (name, points) in enumerate(published.items()):
        dashes = ("--", ":", "-.")[number % 3]
        axes.plot([p.bpp for p in points], [p.value for p in points], ls=dashes, lw=1, label=name)
    axes.set(
        xlabel="bits per pixel (whole files)",
        ylabel="PSNR, 8-bit RGB (dB)",
        title=f"mean of {len(results.dataset)} pictures",
        xlim=(0, 2.1),
        ylim=(22, 44),
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    figure.savefig(path, dpi=120)
    return True


def _bd_cell(anchor: list[RatePoint], test: list[RatePoint], same: bool, figure: str) -> str:
    if same:
        return "0"
    try:
        bd = bd_rate(anchor, test)
    except ValueError:  # too few points, or no common PSNR range: there is no figure to show
        return "-"
    if figure == "psnr":
        return f"{bd.percent:+.1f} % ({bd.low:.1f} to {bd.high:.1f} dB)"
    # Curves of figures where lower is better were turned round.
    return f"{bd.percent:+.1f} % ({abs(bd.low):.4g} to {abs(bd.high):.4g})"


def percent(anchor: list[RatePoint], test: list[RatePoint]) -> str:
    """BD-rate as a table shows it.

    Raises:
        ValueError: the curves have too few points, or no quality in common.
    """
    return f"{bd_rate(anchor, test).percent:+.1f} %"


def table(rows: list[list[str]]) -> str:
    """A pipe table: aligned for reading, valid Markdown for pasting."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of a result file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path, metavar="JSON", help="result file of rate_distortion")
    parser.add_argument("--published", type=Path, metavar="JSON", help="published curves to compare with")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the curves (needs matplotlib)")
    parser.add_argument("--against", type=Path, metavar="JSON", help="compare codecs with this result file's")
    args = parser.parse_args(argv)
    try:
        results = load(args.results)
        published = load_published(args.published) if args.published else {}
        changes = change_rows(results, load(args.against)) if args.against else []
    except (ResultError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(rd_table(results))
    print(bd_table(results, published))
    for figure in FIGURES[1:]:
        if any(results.curve(name, figure) for name in results.codecs):
            print(bd_table(results, figure=figure))
    if changes:
        print(table(changes))
    if args.plot and not plot(results, published, args.plot):
        print("report: no plot, matplotlib is not installed", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
