"""Pictures up to 100 megapixels and more: time and peak memory of compressing and decompressing files.

    python -m benchmarks.large --image photo.png --megapixels 1 4 16 100 --threads 2 --out large.json

The photograph is mirrored side by side until it fills a square of the size that is wanted. Every figure comes
from a fresh process that does what `vqcodec compress` or `decompress` does, with pictures as PPM files, so
that no other format's coding is timed. Weights are loaded before the clock starts; memory is the peak of the
whole process, Python, torch and the picture included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.in_process import enlarge
from benchmarks.processes import figures_of, machine, peak_mib
from benchmarks.rate_distortion import read_pixels
from benchmarks.report.curves import table
from benchmarks.report.results import dump

SCHEMA = 1


def measure(action: str, source: Path, target: Path, options: dict[str, Any], model: str) -> dict[str, Any]:
    """One action in this process."""
    import vqcodec  # noqa: PLC0415  only the child processes need it

    codec, limits = vqcodec.load(model, device="cpu"), vqcodec.Limits(pixels=0)
    begun = time.perf_counter()
    if action == "compress":
        codec.compress_file(source, target, limits=limits, **options)
    else:
        codec.decompress_file(source, target, limits=limits)
    return {"seconds": round(time.perf_counter() - begun, 3), "peak_mib": peak_mib()}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All sizes; the result file's contents."""
    pixels, rows = read_pixels(args.image), []
    with tempfile.TemporaryDirectory() as folder:
        raw, coded, back = (Path(folder) / name for name in ("x.ppm", "x.vqc", "y.ppm"))
        for size in args.megapixels:
            side = round((1e6 * size) ** 0.5)
            Image.fromarray(enlarge(pixels, side)).save(raw)
            entry: dict[str, Any] = {"megapixels": size, "side": side}
            for action, source, target in (("compress", raw, coded), ("decompress", coded, back)):
                words = [action, str(source.resolve()), str(target.resolve()), "--model", args.model]
                options = ["--quality", str(args.quality), "--tile", str(args.tile)]
                figures = figures_of("benchmarks.large", [*words, *options], args.threads)
                entry |= {f"{action}_s": figures["seconds"], f"{action}_mib": figures["peak_mib"]}
            entry["bpp"] = round(8 * coded.stat().st_size / side**2, 4)
            rows.append(entry)
            print(f"{size:g} MP done", file=sys.stderr)
    settings = {"image": args.image.name, "quality": args.quality, "tile": args.tile, "threads": args.threads}
    return {"schema": SCHEMA, "settings": settings, "machine": machine(args.threads), "sizes": rows}


def size_table(result: dict[str, Any]) -> str:
    """Time, time per megapixel and memory."""
    rows = [["MP", "compress s", "s/MP", "peak MiB", "decompress s", "s/MP", "peak MiB"]]
    for entry in result["sizes"]:
        row = [f"{entry['megapixels']:g}"]
        for action in ("compress", "decompress"):
            seconds = entry[f"{action}_s"]
            row += [f"{seconds:.2f}", f"{seconds / entry['megapixels']:.3f}", f"{entry[f'{action}_mib']:.0f}"]
        rows.append(row)
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one action of it as its own child; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="large", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--tile", type=int, default=1024)
    if words and words[0] in ("compress", "decompress"):
        for name in ("action", "source", "target"):
            parser.add_argument(name)
        args = parser.parse_args(words)
        options = {"quality": args.quality, "tile": args.tile}
        print(json.dumps(measure(args.action, Path(args.source), Path(args.target), options, args.model)))
        return 0
    parser.add_argument("--image", type=Path, required=True, metavar="FILE")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 16, 100])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="JSON")
    args = parser.parse_args(words)
    try:
        result = run(args)
    except OSError as error:
        parser.error(str(error))
    print(size_table(result))
    if args.out:
        args.out.write_text(dump(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
