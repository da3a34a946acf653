"""BD-rates of vqcodec against the others by every judge on every picture set, also where it loses."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.codecs import VQCODEC
from benchmarks.report import curves
from benchmarks.report.results import FIGURES, Results


def rows(
    sets: dict[str, Results], labels: dict[str, str], tested: Sequence[str] = (VQCODEC,)
) -> list[list[str]]:
    """A row for each set, tested codec and anchor; a column for each judge that any set was measured by.

    Args:
        sets: results by the name of the picture set.
        labels: what anchors are called, in order of rows; those without results are left out.
    """
    judges = [f for f in FIGURES if any(r.curve(name, f) for r in sets.values() for name in r.codecs)]
    table = [
        ["pictures", "codec", "against", *(curves.NAMES[judge].removesuffix(", dB") for judge in judges)]
    ]
    for pictures, results in sets.items():
        for codec in tested:
            for anchor, label in labels.items():
                if {codec, anchor} <= results.codecs.keys():
                    cells = [percent(results, anchor, codec, judge) for judge in judges]
                    table.append([pictures, codec, label, *cells])
    return table


def percent(results: Results, anchor: str, codec: str, judge: str) -> str:
    """BD-rate by one judge; empty where either was not measured by it, or they share no quality."""
    try:
        return curves.percent(results.curve(anchor, judge), results.curve(codec, judge))
    except ValueError:
        return ""
