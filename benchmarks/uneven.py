"""A folder of many small pictures and a few huge ones: are all cores busy to the end?

    python -m benchmarks.uneven --small 10000 --huge 3 --jobs 2 --out uneven.json

The huge ones' names come last. `compress_batch` does all of them twice: largest first, as it does, and in the
order of the names, as it would otherwise. "tail_s" is how long the last file was worked on when all other
workers had nothing left to do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

import vqcodec
from benchmarks.batch import cut_crops
from benchmarks.processes import ROOT, machine
from benchmarks.report.results import dump
from vqcodec.batch import workers

SCHEMA = 1
ORDERS = ("largest first", "by name")


def measure(photos: Path, target: Path, order: str, jobs: int) -> dict[str, float]:
    """One batch in one order, in this process."""
    size: Any = workers.size_of
    ends: list[float] = []
    busy = 0.0

    def progress(result: vqcodec.FileResult) -> None:
        nonlocal busy
        ends.append(time.perf_counter())
        if result.info is not None:
            busy += result.info.seconds or 0.0

    begun = time.perf_counter()
    if order == "by name":
        workers.size_of = lambda job: 0  # which leaves the order as it is
    try:
        report = vqcodec.compress_batch([photos], target, device="cpu", jobs=jobs, progress=progress)
    finally:
        workers.size_of = size
    if report.failed:
        raise RuntimeError(str(report))
    seconds = ends[-1] - begun
    return {
        "seconds": round(seconds, 2),
        "busy_s": round(busy, 2),
        "tail_s": round(ends[-1] - ends[-jobs], 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="uneven", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=ROOT / "vqcodec/samples", help="pictures to cut from")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=64, help="of the small ones")
    parser.add_argument("--huge", type=int, default=3)
    parser.add_argument("--huge-side", type=int, default=4096)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, metavar="JSON")
    args = parser.parse_args(argv)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "photos").mkdir()
        cut_crops(args.data, root / "photos", args.small, args.side)
        with Image.open(ROOT / "vqcodec/samples/dog.png") as image:
            for number in range(args.huge):
                _tiled(image.convert("RGB"), args.huge_side).save(
                    root / f"photos/z{number}.png", compress_level=1
                )
        for order in ORDERS:
            rows[order] = measure(root / "photos", root / order.replace(" ", "-"), order, args.jobs)
            print(order, rows[order], flush=True)
    settings = {key: value for key, value in vars(args).items() if key not in ("data", "out")}
    if args.out:
        result = {"schema": SCHEMA, "settings": settings, "machine": machine(args.jobs), "orders": rows}
        args.out.write_text(dump(result), encoding="utf-8")
    return 0


def _tiled(image: Image.Image, side: int) -> Image.Image:
    """A picture of side x side, of copies of one."""
    whole = Image.new("RGB", (side, side))
    for top in range(0, side, image.height):
        for left in range(0, side, image.width):
            whole.paste(image, (left, top))
    return whole


if __name__ == "__main__":
    sys.exit(main())
