"""Time and memory that a picture takes: vqcodec and the anchors side by side, at about one file size.

    python -m benchmarks.speed --image photo.png --bpp 0.5 --threads 1 4 --out speed.json

Every figure comes from a fresh process with its own thread count: load the codec, pick the quality whose file
is nearest to --bpp, warm up, then take the median of the repeats. Loading the weights is reported apart.
Times are wall-clock seconds of in-process calls, from pixels to file bytes and back; memory is the peak
resident size of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import codecs
from benchmarks.anchors import PillowCodec
from benchmarks.rate_distortion import read_pixels
from benchmarks.report import table

ROOT = Path(__file__).resolve().parents[1]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def measure(args: argparse.Namespace, name: str, threads: int) -> dict[str, Any]:
    """All figures of one codec in this process."""
    started = time.perf_counter()
    codec = _with_threads(codecs.make(name, model=args.model), threads)
    loaded = time.perf_counter() - started
    pixels = read_pixels(args.image)
    area = pixels.shape[0] * pixels.shape[1]
    scale = range(int(codec.qualities[0]), int(codec.qualities[-1]) + 1)
    quality = nearest_quality(lambda q: 8 * len(codec.encode(pixels, q)) / area, scale, args.bpp)
    data = codec.encode(pixels, quality)
    codec.decode(data)
    encode, encode_parts = _median_seconds(lambda: codec.encode(pixels, quality), codec, args.repeats)
    decode, decode_parts = _median_seconds(lambda: codec.decode(data), codec, args.repeats)
    return {
        "codec": name,
        "versions": codec.versions,
        "threads": threads,
        "quality": quality,
        "bpp": round(8 * len(data) / area, 4),
        "pixels": area,
        "load_s": round(loaded, 4),
        "encode_s": round(encode, 5),
        "decode_s": round(decode, 5),
        "encode_parts_s": encode_parts,
        "decode_parts_s": decode_parts,
        "peak_mib": peak_mib(),
    }


def nearest_quality(rate: Callable[[float], float], qualities: Sequence[float], target: float) -> float:
    """The quality whose rate is nearest to `target`, by bisection: rates grow with quality."""
    low, high = 0, len(qualities) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate(qualities[middle]) < target else (low, middle)
    return min((qualities[low], qualities[high]), key=lambda quality: abs(rate(quality) - target))


def _median_seconds(
    call: Callable[[], object], codec: codecs.Codec, repeats: int
) -> tuple[float, dict[str, float]]:
    """Median wall-clock seconds, and the median of each part for a codec that splits its time."""
    totals: list[float] = []
    parts: dict[str, list[float]] = {}
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        totals.append(time.perf_counter() - started)
        for part, seconds in getattr(codec, "timings", {}).items():
            parts.setdefault(part, []).append(seconds)
    return statistics.median(totals), {k: round(statistics.median(v), 5) for k, v in parts.items()}


def _with_threads(codec: codecs.Codec, threads: int) -> codecs.Codec:
    """Give the codec `threads` threads where it can use them; torch reads the environment by itself."""
    if isinstance(codec, PillowCodec) and codec.format == "AVIF":
        from PIL import AvifImagePlugin  # noqa: PLC0415  absent from older Pillow

        AvifImagePlugin.DEFAULT_MAX_THREADS = threads  # decoding has no argument for it
        return replace(codec, options={**codec.options, "max_threads": threads})
    return codec


def peak_mib() -> float | None:
    """Peak resident memory of this process, None where the system does not say."""
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _in_fresh_process(args: argparse.Namespace, name: str, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.speed", "--child", "--image", str(args.image.resolve())]
    command += ["--codecs", name, "--threads", str(threads), "--model", args.model]
    command += ["--bpp", str(args.bpp), "--repeats", str(args.repeats)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    # -m puts the working directory on the path: run from the root whatever directory we were started in.
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _table(figures: Sequence[dict[str, Any]]) -> str:
    times_head = ["encode s", "decode s", "encode MP/s", "decode MP/s"]
    rows = [["codec", "threads", "bpp", *times_head, "peak MiB", "load s"]]
    for f in figures:
        mega = f["pixels"] / 1e6
        speeds = [f"{mega / f['encode_s']:.2f}", f"{mega / f['decode_s']:.2f}"]
        times = [f"{f['encode_s']:.4f}", f"{f['decode_s']:.4f}"]
        rest = [str(f["peak_mib"]), f"{f['load_s']:.2f}"]
        rows.append([f["codec"], str(f["threads"]), f"{f['bpp']:.3f}", *times, *speeds, *rest])
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="speed", description=__doc__.split("\n", 1)[0])
    sample = ROOT / "vqcodec" / "samples" / "dog.png"
    parser.add_argument("--image", type=Path, default=sample, help="a lossless picture")
    parser.add_argument("--codecs", nargs="+", default=codecs.DEFAULT_NAMES, choices=codecs.CODEC_NAMES)
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--bpp", type=float, default=0.5, help="rate at which codecs are compared")
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the figures here as well")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(measure(args, args.codecs[0], args.threads[0])))
        return 0
    try:
        runs = [_in_fresh_process(args, name, threads) for threads in args.threads for name in args.codecs]
    except subprocess.CalledProcessError as error:  # its own message is on stderr already
        print(f"speed: a measurement ended with status {error.returncode}", file=sys.stderr)
        return 1
    print(_table(runs))
    if args.out:
        args.out.write_text(json.dumps({"schema": 1, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
