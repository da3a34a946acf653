"""Pictures per second out of shards, through one loader: .vqc by `vqcodec.datasets`, JPEG by webdataset.

    python -m benchmarks.loader --data photos/ --count 1000 --side 256 --workers 2 --out loader.json

The same crops are written twice to tar shards: as .vqc, and as JPEG of a quality that gives about the same
PSNR. Then PyTorch's DataLoader goes through them with the same workers and batches, each way in a fresh
process, after one batch that waits for workers and weights. Also the .vqc files' coarse layer alone.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.batch import cut_crops
from benchmarks.processes import ROOT, figures_of, installed, machine
from benchmarks.report.curves import table
from benchmarks.report.results import dump
from vqcodec.shards import Sample, ShardWriter

SCHEMA = 1
WAYS = ("vqc", "vqc coarse", "jpeg")


def write_shards(photos: Path, root: Path, shards: int, quality: float, model: str) -> dict[str, Any]:
    """Both kinds of shards of all pictures of a folder; mean PSNR and bytes of each.

    The JPEG quality is the lowest that gives the .vqc files' mean PSNR on the first pictures.
    """
    import numpy as np  # noqa: PLC0415  not what the children pay for

    import vqcodec  # noqa: PLC0415
    from vqcodec.metrics.rate_distortion import psnr  # noqa: PLC0415

    codec = vqcodec.load(model, device="cpu")
    paths = sorted(photos.iterdir())
    pixels = [np.array(Image.open(path)) for path in paths]
    coded = [codec.compress(path, quality=quality) for path in paths]
    sample = range(0, len(paths), max(1, len(paths) // 40))
    wanted = np.mean([psnr(pixels[n], np.array(codec.decompress(coded[n]))) for n in sample])

    def jpeg(number: int, level: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels[number]).save(file, "JPEG", quality=level, optimize=True)
        return file.getvalue()

    def jpeg_psnr(level: int) -> float:
        decoded = [np.array(Image.open(io.BytesIO(jpeg(n, level)))) for n in sample]
        return float(np.mean([psnr(pixels[n], seen) for n, seen in zip(sample, decoded, strict=True)]))

    level = next((level for level in range(30, 100) if jpeg_psnr(level) >= wanted), 100)
    files = {"vqc": coded, "jpg": [jpeg(number, level) for number in range(len(paths))]}
    for suffix, datas in files.items():
        for shard in range(shards):
            with (root / f"{suffix}-{shard:03}.tar").open("wb") as file:
                writer = ShardWriter(file)
                for number in range(shard, len(datas), shards):
                    writer.add(Sample(f"{number:06}", {suffix: datas[number], "cls": b"0"}))
                writer.close()
    figures = {suffix: round(sum(map(len, datas)) / len(datas)) for suffix, datas in files.items()}
    both = {"vqc": round(float(wanted), 2), "jpg": round(jpeg_psnr(level), 2)}
    return {"jpeg_quality": level, "bytes_per_picture": figures, "psnr": both}


def measure(way: str, root: Path, workers: int, batch: int, model: str) -> dict[str, float]:
    """One pass over one kind of shards, in this process."""
    import torch  # noqa: PLC0415  the parent does without
    from torch.utils.data import DataLoader  # noqa: PLC0415

    from vqcodec.datasets import VqcShards, to_tensor  # noqa: PLC0415

    torch.set_num_threads(1)
    data: Any
    if way == "jpeg":
        import webdataset  # noqa: PLC0415  an extra

        names = sorted(str(path) for path in root.glob("jpg-*.tar"))
        data = webdataset.WebDataset(names, shardshuffle=False, empty_check=False)
        data = data.decode("pil").map(lambda sample: {"image": to_tensor(sample["jpg"])})
    else:
        options: dict[str, Any] = {"preview": 1} if way == "vqc coarse" else {}
        data = VqcShards(sorted(root.glob("vqc-*.tar")), model=model, **options)
    loader: Iterable[Any] = DataLoader(data, batch_size=batch, num_workers=workers)
    begun = time.perf_counter()
    running = iter(loader)
    next(running)
    first = time.perf_counter()
    count = sum(len(part["image"]) for part in running)
    seconds = time.perf_counter() - first
    # The processor time of a picture, in this process, after one that loads what is needed.
    alone = iter(data)
    next(alone)
    used = time.process_time()
    alike = sum(1 for _ in itertools.islice(alone, 100))
    return {
        "start_s": round(first - begun, 2),
        "pictures_per_s": round(count / seconds, 1),
        "cpu_ms_per_picture": round(1e3 * (time.process_time() - used) / alike, 2),
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All ways; the result file's contents."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "photos").mkdir()
        cut_crops(args.data, root / "photos", args.count, args.side)
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "settings": {"count": args.count, "side": args.side, "workers": args.workers},
            "machine": machine(args.workers) | {"webdataset": installed("webdataset")},
            "files": write_shards(root / "photos", root, 2 * args.workers, args.quality, args.model),
            "ways": {},
        }
        for _ in range(args.repeats):
            for way in WAYS:
                words = ["one", way, str(root), "--model", args.model]
                words += ["--workers", str(args.workers), "--batch", str(args.batch)]
                figures = figures_of("benchmarks.loader", words, 1)
                best = result["ways"].get(way)
                if best is None or figures["pictures_per_s"] > best["pictures_per_s"]:
                    result["ways"][way] = figures
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, or one way of it as its own child; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="loader", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--workers", type=int, default=2, help="of the loader")
    parser.add_argument("--batch", type=int, default=32)
    if words and words[0] == "one":
        for name in ("piece", "way"):
            parser.add_argument(name)
        parser.add_argument("root", type=Path)
        args = parser.parse_args(words)
        print(json.dumps(measure(args.way, args.root, args.workers, args.batch, args.model)))
        return 0
    parser.add_argument("--data", type=Path, default=ROOT / "vqcodec/samples", help="pictures to cut from")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--quality", type=float, default=75)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, metavar="JSON")
    args = parser.parse_args(words)
    result = run(args)
    names = ("pictures_per_s", "cpu_ms_per_picture", "start_s")
    rows = [["way", *names], *([way, *(str(f[name]) for name in names)] for way, f in result["ways"].items())]
    print(table(rows))
    print(json.dumps(result["files"]))
    if args.out:
        args.out.write_text(dump(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
