"""How the bits of a set are spread over its pictures: `python -m benchmarks.allocation JSON --data FOLDER`.

The curves of `benchmarks.rate_distortion` are means over pictures at one quality, so they depend on coding
and on how a codec divides its bits between easy and hard pictures. Two tables tell these apart:

* BD-rates of each picture's own curve, and their mean, which the division between pictures cannot change;
* what other strengths of `vqcodec.compress.dial` would give: BD-rates of the mean curves, and the spread of
  the figures of pictures of one quality. Levels between those measured are interpolated.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev
from unittest.mock import patch

import numpy as np

from benchmarks.bd_rate import RatePoint, bd_rate
from benchmarks.codecs import VQCODEC
from benchmarks.rate_distortion import find_pictures, identify, read_pixels
from benchmarks.report.curves import NAMES, table
from benchmarks.report.results import FIGURES, ResultError, Results, load
from vqcodec.compress import dial

STRENGTHS = (0.0, 4.0, 8.0, 12.0, 16.0)
GRID = range(0, 101, 4)
MIDDLE = (30, 70)
"""Qualities between which the spread is looked at."""


def picture_curve(results: Results, codec: str, name: str, figure: str = "psnr") -> list[RatePoint]:
    """The points of one picture that have the figure, in order of quality."""
    points = sorted(results.codecs[codec].points.values(), key=lambda point: point.quality)
    samples = (point.images[name] for point in points if name in point.images)
    found = ((sample.bpp, getattr(sample, figure)) for sample in samples)
    return [RatePoint(rate, value) for rate, value in found if value is not None]


def picture_percents(results: Results, other: str) -> list[float]:
    """BD-rate of vqcodec against another codec for each picture by itself."""
    return [
        bd_rate(picture_curve(results, other, name), picture_curve(results, VQCODEC, name)).percent
        for name in results.dataset
    ]


def picture_rows(results: Results) -> list[list[str]]:
    """BD-rate of vqcodec for each picture against each other codec, and the means."""
    others = [name for name in results.codecs if name != VQCODEC]
    columns = [picture_percents(results, other) for other in others]
    found = dict(zip(results.dataset, zip(*columns, strict=True), strict=True))
    found["mean of these"] = tuple(map(fmean, columns))
    ours = results.curve(VQCODEC)
    found["of the mean curves"] = tuple(bd_rate(results.curve(other), ours).percent for other in others)
    cells = [[name, *(f"{percent:+.1f} %" for percent in row)] for name, row in found.items()]
    return [["BD-rate (PSNR) against", *others], *cells]


class Dial:
    """What the pictures of a set would give at any level, from the levels at which they were measured."""

    def __init__(self, results: Results, busy: dict[str, float]) -> None:
        """busy: of every picture, `vqcodec.compress.dial.busyness`."""
        self.results, self.busy = results, busy
        first = next(iter(results.codecs[VQCODEC].points.values())).images[next(iter(busy))]
        self.figures = [figure for figure in FIGURES if getattr(first, figure) is not None]
        qualities = sorted(results.codecs[VQCODEC].points)
        self.levels = {
            name: [dial.level_from_quality(quality, value) for quality in qualities]
            for name, value in busy.items()
        }

    def at(self, name: str, level: float, figure: str) -> RatePoint:
        """Rate and figure of one picture at a level."""
        curve = picture_curve(self.results, VQCODEC, name, figure)
        rate = np.interp(level, self.levels[name], [math.log(point.bpp) for point in curve])
        return RatePoint(math.exp(rate), float(np.interp(level, self.levels[name], [p.value for p in curve])))

    def points(self, strength: float, figure: str) -> tuple[list[RatePoint], float]:
        """The mean curve with another strength, and the mean spread over the middle of the dial."""
        means, spreads = [], []
        for quality in GRID:
            with patch.object(dial, "STRENGTH", strength):
                levels = {n: dial.level_from_quality(quality, busy) for n, busy in self.busy.items()}
            points = [self.at(name, level, figure) for name, level in levels.items()]
            values = [_spread_scale(figure, point.value) for point in points]
            means.append(RatePoint(fmean(p.bpp for p in points), fmean(p.value for p in points)))
            if MIDDLE[0] <= quality <= MIDDLE[1]:
                spreads.append(pstdev(values))
        return means, fmean(spreads)

    def rows(self) -> list[list[str]]:
        """A row for each strength, and the spreads of the other codecs at the same rates."""
        others = [name for name in self.results.codecs if name != VQCODEC]
        spread = [f"spread, {NAMES[figure]}" for figure in self.figures]
        rows = [["strength", *spread, *(f"BD-rate {name}" for name in others)]]
        for strength in STRENGTHS:
            found = [self.points(strength, figure) for figure in self.figures]
            percent = [bd_rate(self.results.curve(name), found[0][0]).percent for name in others]
            cells = [f"{value:.2f}" for _, value in found]
            rows.append([f"{strength:g}", *cells, *(f"{value:+.1f} %" for value in percent)])
        curve = sorted(self.results.curve(VQCODEC), key=lambda point: point.bpp)
        low, high = (curve[round((len(curve) - 1) * end / 100)].bpp for end in MIDDLE)
        for name in others:
            cells = [f"{self._other(name, figure, low, high):.2f}" for figure in self.figures]
            rows.append([name, *cells, *("" for _ in others)])
        return rows

    def _other(self, codec: str, figure: str, low: float, high: float) -> float:
        """Mean spread of another codec's figure over its points of mean rates from `low` to `high`."""
        spreads = []
        for point in self.results.codecs[codec].points.values():
            mean = point.mean(len(self.results.dataset), figure)
            if mean is not None and low <= mean.bpp <= high:
                values = [getattr(sample, figure) for sample in point.images.values()]
                spreads.append(pstdev(_spread_scale(figure, value) for value in values))
        return fmean(spreads) if spreads else math.nan


def _spread_scale(figure: str, value: float) -> float:
    """MS-SSIM in dB, -10 log10(1 - value): near 1 its differences say little."""
    return -10 * math.log10(1 - value) if figure == "ms_ssim" else value


def main(argv: Sequence[str] | None = None) -> int:
    """Print both tables; returns the exit status."""
    parser = argparse.ArgumentParser(prog="allocation", description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path, metavar="JSON", help="result file of rate_distortion")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the pictures it is of")
    args = parser.parse_args(argv)
    try:
        results = load(args.results)
        pixels = {name: read_pixels(path) for name, path in find_pictures(args.data).items()}
    except (ResultError, OSError) as error:
        print(f"allocation: {error}", file=sys.stderr)
        return 1
    if {name: identify(picture) for name, picture in pixels.items()} != results.dataset:
        print(f"allocation: {args.results} is of other pictures than {args.data}", file=sys.stderr)
        return 1
    print(table(picture_rows(results)))
    print(table(Dial(results, {name: dial.busyness(picture) for name, picture in pixels.items()}).rows()))
    print(f"busyness of a typical picture: {dial.TYPICAL:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
