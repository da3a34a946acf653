"""Write the figures that stand in the README files, from the committed result files; measures nothing.

    python -m benchmarks.report.readme            # writes
    python -m benchmarks.report.readme --check    # only says whether they are up to date

A table stands between `<!-- figures: NAME -->` and `<!-- end of figures -->`; what is between is replaced.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from benchmarks.allocation import picture_percents
from benchmarks.bd_rate import RatePoint
from benchmarks.codecs import VQCODEC
from benchmarks.processes import ROOT
from benchmarks.report import curves, judges_table, speed_tables
from benchmarks.report.results import MAIN_FIGURES, Results, load

FILES = (ROOT / "README.md", ROOT / "benchmarks" / "README.md")
RESULTS = ROOT / "benchmarks" / "results"
PUBLISHED = ROOT / "benchmarks" / "published_kodak.json"
LABELS = {
    "jpeg": "JPEG (4:2:0, optimised, progressive)",
    "jpeg2000": "JPEG 2000 (OpenJPEG)",
    "webp": "WebP (method 6)",
    "avif": "AVIF (4:4:4, speed 6, default tune)",
    "avif-psnr": "AVIF (4:4:4, speed 6, `tune=psnr`)",
    "jxl": "JPEG XL (effort 7)",
}
MORE_LABELS = {
    "avif-s2": "AVIF (4:4:4, speed 2, default tune)",
    "avif-psnr-s2": "AVIF (4:4:4, speed 2, `tune=psnr`)",
    "avif-ssim2": "AVIF (4:4:4, speed 6, `tune=ssimulacra2`)",
    "avif-ssim2-s2": "AVIF (4:4:4, speed 2, `tune=ssimulacra2`)",
    "jxl-e9": "JPEG XL (effort 9)",
    "jpegli": "JPEG (jpegli)",
}
SETS = {"Kodak": "kodak.json", "dev": "dev.json", "Budgie": "budgie.json"}
"""Result files by picture set; the third is of pictures on which nothing was chosen."""
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.S)


def _json(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / name).read_text(encoding="utf-8")))


def _percent(anchor: list[RatePoint], curve: list[RatePoint]) -> str:
    return curves.percent(anchor, curve) if anchor else ""


def bd() -> list[list[str]]:
    """BD-rates on both sets against the codecs that were measured."""
    kodak, dev = load(RESULTS / "kodak.json"), load(RESULTS / "dev.json")
    names = [curves.NAMES[figure].removesuffix(", dB") for figure in MAIN_FIGURES]
    rows = [["BD-rate of vqcodec against", *names, "PSNR, own mean", "dev, PSNR", "dev, own mean"]]

    def against(results: Results, anchor: str, figure: str) -> str:
        if anchor not in results.codecs:
            return ""
        return _percent(results.curve(anchor, figure), results.curve(VQCODEC, figure))

    def alone(results: Results, anchor: str) -> str:
        if anchor not in results.codecs:
            return ""
        return f"{fmean(picture_percents(results, anchor)):+.1f} %"

    for name, label in LABELS.items():
        cells = [*(against(kodak, name, f) for f in MAIN_FIGURES), alone(kodak, name)]
        rows.append([label, *cells, against(dev, name, "psnr"), alone(dev, name)])
    return rows


def judges() -> list[list[str]]:
    """BD-rates by every judge on every set that has a result file."""
    sets = {name: load(RESULTS / file) for name, file in SETS.items() if (RESULTS / file).exists()}
    return judges_table.rows(sets, LABELS | MORE_LABELS, (VQCODEC, f"{VQCODEC}-e3"))


def published() -> list[list[str]]:
    """BD-rates on Kodak against curves that others published."""
    curve = load(RESULTS / "kodak.json").curve(VQCODEC)
    rows = [["published curve", "BD-rate of vqcodec, Kodak, PSNR"]]
    for name, anchor in curves.load_published(PUBLISHED).items():
        rows.append([name.removesuffix(", published"), _percent(anchor, curve)])
    return rows


def dial() -> list[list[str]]:
    """Rate and PSNR over the quality dial."""
    kodak = load(RESULTS / "kodak.json")
    qualities, curve = sorted(kodak.codecs[VQCODEC].points), kodak.curve(VQCODEC)
    return [
        ["quality", *(f"{quality:g}" for quality in qualities)],
        ["bpp (Kodak)", *(f"{point.bpp:.3f}" for point in curve)],
        ["PSNR, dB", *(f"{point.value:.2f}" for point in curve)],
    ]


def effort() -> list[list[str]]:
    """What the encoder's search gains by tune, on pictures of the development set."""
    results = load(RESULTS / "effort.json")
    names = [curves.NAMES[figure].removesuffix(", dB") for figure in MAIN_FIGURES]
    rows = [["effort, tune", *names]]
    for name in sorted(results.codecs, key=lambda name: name[-1] if name != VQCODEC else ""):
        tune = "psnr" if "psnr" in name else "eyes"
        what = "1" if name == VQCODEC else f"{name[-1]}, {tune}"
        gains = [_percent(results.curve(VQCODEC, f), results.curve(name, f)) for f in MAIN_FIGURES]
        rows.append([what, *(["0"] * len(gains) if name == VQCODEC else gains)])
    return rows


def speed() -> list[list[str]]:
    """Times in process at the first size that was measured, with all threads."""
    runs = speed_tables.plain(_json("speed.json")["runs"])
    shown = [r for r in runs if r["pixels"] == runs[0]["pixels"] and "-e" not in r["codec"]]
    rows = [["codec", "threads", "encode s", "decode s", "peak MiB"]]
    for run in shown:
        times = [f"{run[key]:.3g}" for key in ("encode_s", "decode_s")]
        rows.append([run["codec"], str(run["threads"]), *times, f"{run['peak_mib']:.0f}"])
    return rows


def sizes() -> list[list[str]]:
    """vqcodec's seconds for each megapixel over the sizes that were measured."""
    rows = [["MP", "threads", "encode s/MP", "decode s/MP"]]
    for run in speed_tables.plain(_json("speed.json")["runs"]):
        if run["codec"] == VQCODEC:
            mega = run["pixels"] / 1e6
            per = [f"{run[key] / mega:.2f}" for key in ("encode_s", "decode_s")]
            rows.append([f"{mega:.3g}", str(run["threads"]), *per])
    return rows


def engines() -> list[list[str]]:
    """vqcodec held to an engine or an instruction set."""
    return speed_tables.of_engines(_json("speed.json")["runs"])


def beside() -> list[list[str]]:
    """vqcodec beside a busy process."""
    return speed_tables.of_neighbours(_json("speed.json")["runs"])


def cold() -> list[list[str]]:
    """The first picture of a process."""
    return speed_tables.of_cold(_json("speed.json").get("cold", []))


def commands() -> list[list[str]]:
    """Whole processes, vqcodec's and other tools'."""
    return speed_tables.of_commands(_json("speed.json").get("commands", []))


def perceptual() -> list[list[str]]:
    """Figures of perceived quality, codecs at equal bytes."""
    names = {"bpp": ".3f", "psnr": ".2f", "lpips_alexnet": ".3f", "lpips_vgg16": ".3f", "dists": ".3f"}
    names |= {"ssimulacra2": ".1f", "frechet": ".1f", "repeats": ".2f", "mesh": ".2f"}
    rows = [["codec", *names]]
    codecs = _json("perceptual.json")["codecs"]
    for i in range(len(codecs[VQCODEC]["points"])):
        for codec, entry in codecs.items():
            rows.append([codec, *(f"{entry['points'][i][name]:{form}}" for name, form in names.items())])
    return rows


def ablation() -> list[list[str]]:
    """What each choice in the model is worth, at equal steps."""
    variants = _json("ablation.json")["variants"]
    levels = [f"J at {point['level']:g}" for point in variants["default"]["points"]]
    rows = [["variant", "change", *levels, "mean"]]
    for name, percent in curves.percent_changes(variants).items():
        cells = [f"{value:+.1f} %" for value in (*percent, sum(percent) / len(percent))]
        rows.append([name, variants[name]["what"], *cells])
    return rows


BLOCKS: dict[str, Callable[[], list[list[str]]]] = {
    "bd": bd,
    "judges": judges,
    "published": published,
    "dial": dial,
    "effort": effort,
    "speed": speed,
    "sizes": sizes,
    "engines": engines,
    "beside": beside,
    "cold": cold,
    "commands": commands,
    "perceptual": perceptual,
    "ablation": ablation,
}


def filled(text: str) -> str:
    """A file's text with every marked table as the result files have it.

    Raises:
        KeyError: a mark names no table.
    """
    return _BLOCK.sub(lambda found: found[1] + curves.table(BLOCKS[found[2]]()) + found[3], text)


def main(argv: Sequence[str] | None = None) -> int:
    """Fill or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="readme", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if figures are old"
    )
    args = parser.parse_args(argv)
    status = 0
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new == text:
            continue
        if args.check:
            status = 1
        else:
            path.write_text(new, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'old figures' if args.check else 'written'}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
