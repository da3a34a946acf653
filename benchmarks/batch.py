"""Many small photographs: worker processes against a loop over `compress_file` and `decompress_file`.

    python -m benchmarks.batch --data photos/ --count 1000 --side 256 --threads 2 --out batch.json

Crops of the pictures in a folder, the same ones in every run, are written as PNG and then compressed and
decompressed twice: one file after the other in one process with all threads, and by `compress_batch` with as
many worker processes as threads. Every figure comes from a fresh process and holds all that a script pays
for: importing torch, loading the weights, starting workers. Both ways must give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.processes import figures_of, machine
from benchmarks.report.curves import table
from benchmarks.report.results import dump

SCHEMA = 1
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
ACTIONS = ("compress", "decompress")
WAYS = ("loop", "batch")


def cut_crops(data: Path, folder: Path, count: int, side: int, seed: int = 0) -> None:
    """Write `count` crops of side x side from pictures anywhere below `data` to `folder`, as PNG.

    Raises:
        ValueError: no picture is large enough.
    """
    chance = random.Random(seed)
    pictures = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)
    number = 0
    while number < count:
        if not pictures:
            raise ValueError(f"no picture of {side}x{side} or more below {data}")
        path = chance.choice(pictures)
        with Image.open(path) as image:
            if min(image.size) < side:
                pictures.remove(path)
                continue
            left, top = chance.randint(0, image.width - side), chance.randint(0, image.height - side)
            crop = image.convert("RGB").crop((left, top, left + side, top + side))
        crop.save(folder / f"{number:05}.png")
        number += 1


def measure(action: str, way: str, source: Path, target: Path, model: str, jobs: int) -> dict[str, Any]:
    """One action in one way on all files of a folder, in this process."""
    begun = time.perf_counter()
    import vqcodec  # noqa: PLC0415  its time counts

    suffix = ".vqc" if action == "compress" else ".png"
    files = sorted(source.iterdir())
    target.mkdir()
    if way == "loop":
        codec = vqcodec.load(model, device="cpu")
        convert = codec.compress_file if action == "compress" else codec.decompress_file
        for path in files:
            convert(path, target / (path.stem + suffix))
    else:
        batch = vqcodec.compress_batch if action == "compress" else vqcodec.decompress_batch
        report = batch(files, target, model=model, device="cpu", jobs=jobs)
        if len(report.done) != len(files):
            raise RuntimeError(f"{len(report.failed)} files failed")
    return {"seconds": round(time.perf_counter() - begun, 2)}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Both actions in both ways; the result file's contents.

    Raises:
        RuntimeError: the ways do not give the same compressed files.
    """
    rows = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "photos").mkdir()
        cut_crops(args.data, root / "photos", args.count, args.side)
        source = root / "photos"
        for action in ACTIONS:
            row: dict[str, Any] = {"action": action}
            for way in WAYS:
                words = [action, way, str(source), str(root / f"{action}-{way}"), "--model", args.model]
                row[f"{way}_s"] = figures_of(
                    "benchmarks.batch", [*words, "--threads", str(args.threads)], args.threads
                )["seconds"]
                print(f"{action} {way} done", file=sys.stderr)
            row["faster"] = round(row["loop_s"] / row["batch_s"], 3)
            rows.append(row)
            source = root / f"{action}-{WAYS[0]}"
        if _bytes(root / "compress-loop") != _bytes(root / "compress-batch"):
            raise RuntimeError("the loop and the batch do not give the same files")
    settings = {"count": args.count, "side": args.side, "jobs": args.threads}
    return {"schema": SCHEMA, "settings": settings, "machine": machine(args.threads), "actions": rows}


def times_table(result: dict[str, Any]) -> str:
    """Seconds and milliseconds a picture of both ways."""
    rows = [["action", "loop s", "ms/picture", "batch s", "ms/picture", "faster"]]
    count = result["settings"]["count"]
    for row in result["actions"]:
        cells = [
            text
            for way in WAYS
            for text in (f"{row[f'{way}_s']:.2f}", f"{1e3 * row[f'{way}_s'] / count:.1f}")
        ]
        rows.append([row["action"], *cells, f"{row['faster']:.2f}x"])
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one action of it as its own child; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="batch", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument(
        "--threads", type=int, default=2, help="of the loop, and worker processes of the batch"
    )
    if words and words[0] in ACTIONS:
        for name in ("action", "way", "source", "target"):
            parser.add_argument(name)
        args = parser.parse_args(words)
        paths = Path(args.source), Path(args.target)
        print(json.dumps(measure(args.action, args.way, *paths, args.model, args.threads)))
        return 0
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="pictures to cut from")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--out", type=Path, metavar="JSON")
    args = parser.parse_args(words)
    try:
        result = run(args)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(times_table(result))
    if args.out:
        args.out.write_text(dump(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
