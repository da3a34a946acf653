"""Rate against perceived quality: vqcodec with both its decoders, and other codecs at equal bytes.

    python -m benchmarks.perceptual --data kodak/ dev/ --work runs/perceptual --out perceptual.json

Every picture is compressed by vqcodec at each of --qualities. Every other codec gets at least as many bytes
for it: the smallest of its files, over whole qualities, that is no smaller. What comes out is judged by
`benchmarks.judges`. The figures of a picture are kept in --work as soon as they are there; the same command
goes on after an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import codecs
from benchmarks.anchors import Pixels
from benchmarks.judges import FIGURES, PATCH, Features, Judge, frechet, mesh_beyond
from benchmarks.rate_distortion import find_pictures, identify, read_pixels
from benchmarks.report.curves import table
from benchmarks.report.results import dump
from vqcodec.errors import ModelNotFound
from vqcodec.files import write_atomic
from vqcodec.metrics.rate_distortion import bpp

SCHEMA = 2
ORIGINAL = "original"
ANCHORS = ("jpeg", "webp", "avif", "jxl")
QUALITIES = (12.0, 23.0, 41.0)
"""About 0.1, 0.15 and 0.3 bpp on Kodak."""
DEFINITION = {
    "rates": "per picture, other codecs take at least vqcodec's bytes: the smallest such file over qualities",
    "means": "of the pictures' values",
    "frechet": f"of VGG16's relu5_3, means over {PATCH}-px patches of all pictures together",
    "psnr": "dB, 8-bit RGB",
    "mesh": "of what a decoding, or the original, has beyond vqcodec's at that quality",
}


@dataclass(frozen=True)
class Measured:
    """One codec at one rate: figures of each picture, and patches of each."""

    figures: dict[str, dict[str, float]]
    patches: dict[str, Features]


class Bench:
    """All codecs over all pictures, with a cache in a folder."""

    def __init__(self, names: Sequence[str], qualities: Sequence[float], model: str, work: Path) -> None:
        self.qualities, self.work = tuple(qualities), work
        self.reference = codecs.make("vqcodec", model=model)
        self.codecs = {name: codecs.make(name, model=model) for name in names}
        work.mkdir(parents=True, exist_ok=True)

    def _settings(self, codec: codecs.Codec, quality: float) -> dict[str, Any]:
        own = {"settings": codec.settings, "versions": codec.versions}
        rates = {"rates of": self.reference.versions, "quality": quality}
        return own | rates | {"torch": torch.__version__}

    def picture(self, name: str, path: Path) -> Iterator[tuple[str, float, dict[str, float], Features]]:
        """(codec, our quality, figures, patches) of one picture; `ORIGINAL` first, with its mesh."""
        pixels = read_pixels(path)
        # Only where something is left to be judged.
        look = cache(lambda: self.judge.look(pixels))
        ours = cache(lambda quality: self.reference.encode(pixels, quality))
        fidelity = cache(lambda quality: self.reference.decode(ours(quality)))
        for quality in self.qualities:
            kept = self._cache(name, ORIGINAL, self._settings(self.reference, quality), pixels)
            if not kept.exists():
                _save(kept, {"mesh": mesh_beyond(fidelity(quality), pixels)}, look().patches)
            yield ORIGINAL, quality, *_load(kept)
        for label, codec in self.codecs.items():
            for quality in self.qualities:
                kept = self._cache(name, label, self._settings(codec, quality), pixels)
                if not kept.exists():
                    data = codecs.at_equal_bytes(codec, pixels, ours(quality))
                    decoded = self.judge.look(codec.decode(data))
                    found = self.judge.judge(look(), decoded, fidelity(quality))
                    _save(kept, {"bytes": float(len(data))} | found, decoded.patches)
                figures, patches = _load(kept)
                rate = bpp(int(figures["bytes"]), pixels.shape[1], pixels.shape[0])
                yield label, quality, figures | {"bpp": rate}, patches

    @cached_property
    def judge(self) -> Judge:
        """The networks."""
        return Judge()

    def _cache(self, name: str, label: str, settings: dict[str, Any], pixels: Pixels) -> Path:
        text = json.dumps([SCHEMA, FIGURES, settings, vars(identify(pixels))], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.work / f"{Path(name).stem}-{label}-{settings['quality']:g}-{key}.npz"


def _save(path: Path, figures: dict[str, float], patches: Features) -> None:
    file = io.BytesIO()
    np.savez(file, figures=json.dumps(figures), patches=patches)
    write_atomic(path, file.getvalue())


def _load(path: Path) -> tuple[dict[str, float], Features]:
    with np.load(path) as arrays:
        return json.loads(str(arrays["figures"])), arrays["patches"]


def summarise(
    measured: dict[tuple[str, float], Measured], bench: Bench, pictures: Sequence[str]
) -> dict[str, Any]:
    """The result file's contents."""
    originals = {quality: measured[ORIGINAL, quality] for quality in bench.qualities}
    truth = np.concatenate([*originals[bench.qualities[0]].patches.values()])
    meshes = {f"{quality:g}": _mean(entry, "mesh") for quality, entry in originals.items()}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "definition": DEFINITION,
        "pictures": list(pictures),
        "patches": len(truth),
        "mesh_of_originals": meshes,
        "codecs": {},
    }
    for name, codec in bench.codecs.items():
        points = []
        for quality in bench.qualities:
            entry = measured[name, quality]
            point = {"quality": quality} | {name: _mean(entry, name) for name in ("bpp", *FIGURES)}
            point["frechet"] = round(frechet(truth, np.concatenate([*entry.patches.values()])), 4)
            points.append(point | {"images": entry.figures})
        result["codecs"][name] = {"settings": codec.settings, "versions": codec.versions, "points": points}
    return result


def _mean(entry: Measured, figure: str) -> float:
    return round(float(np.mean([figures[figure] for figures in entry.figures.values()])), 5)


def rate_table(result: dict[str, Any]) -> str:
    """Every codec's figures, rate by rate."""
    rows = [["rate", "codec", "bpp", *FIGURES, "frechet"]]
    codecs_ = result["codecs"]
    for i, point in enumerate(next(iter(codecs_.values()))["points"]):
        for name, codec in codecs_.items():
            p = codec["points"][i]
            shown = [f"{p['bpp']:.3f}", *(f"{p[k]:.4g}" for k in (*FIGURES, "frechet"))]
            rows.append([f"quality {point['quality']:g}", name, *shown])
        empty = ["-"] * (len(FIGURES) - 1)
        mesh = result["mesh_of_originals"][f"{point['quality']:g}"]
        rows.append([f"quality {point['quality']:g}", ORIGINAL, "-", *empty, f"{mesh:.4g}", "-"])
    return table(rows)


def plot(result: dict[str, Any], path: Path) -> None:
    """Each figure against the rate, a panel each (needs matplotlib)."""
    from matplotlib.figure import Figure  # noqa: PLC0415  an extra

    names = (*FIGURES, "frechet")
    figure = Figure(figsize=(16, 6.5), layout="constrained")
    panels = figure.subplots(2, 5).flat
    for name, axes in zip(names, panels, strict=False):
        for codec, entry in result["codecs"].items():
            look = {"lw": 2.2} if codec in codecs.ONE_FILE else {"lw": 1.1, "ls": "--"}
            points = entry["points"]
            axes.plot(
                [p["bpp"] for p in points], [p[name] for p in points], marker="o", ms=3, label=codec, **look
            )
        axes.set(title=name, xlabel="bits per pixel")
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].axis("off")
    panels[-1].legend(handles, labels, loc="center")
    figure.savefig(path, dpi=110)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perceptual", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="lossless pictures"
    )
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="cache of what is measured")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="result file")
    parser.add_argument(
        "--codecs", nargs="+", default=(*codecs.ONE_FILE, *ANCHORS), choices=codecs.CODEC_NAMES
    )
    parser.add_argument(
        "--qualities", nargs="+", type=float, default=QUALITIES, metavar="Q", help="of vqcodec"
    )
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    args = _parser().parse_args(argv)
    measured: dict[tuple[str, float], Measured] = {}
    try:
        paths = {name: path for folder in args.data for name, path in find_pictures(folder).items()}
        bench = Bench(args.codecs, args.qualities, args.model, args.work)
        for done, (name, path) in enumerate(paths.items(), 1):
            for codec, quality, figures, patches in bench.picture(name, path):
                entry = measured.setdefault((codec, quality), Measured({}, {}))
                entry.figures[name], entry.patches[name] = figures, patches
            if sys.stderr.isatty():
                print(f"\r{done}/{len(paths)} pictures", end="", file=sys.stderr, flush=True)
        result = summarise(measured, bench, list(paths))
    except (ModelNotFound, OSError, ValueError, ImportError) as error:
        print(f"perceptual: {error}", file=sys.stderr)
        return 1
    args.out.write_text(dump(result), encoding="utf-8")
    print(rate_table(result))
    if args.plot:
        plot(result, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
