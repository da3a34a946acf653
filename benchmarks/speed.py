"""Time and memory that a picture takes: vqcodec and the other codecs side by side, at about one file size.

    python -m benchmarks.speed --image photo.png --bpp 0.5 --sides 256 4096 --threads 1 2 --out speed.json

In process: every figure comes from a fresh process with its own thread count: load the codec, pick the
quality whose file of the photograph is nearest to --bpp (effort 1's for all efforts of vqcodec), call once,
then take the median of the repeats, from pixels to file bytes and back. For --sides the photograph is
mirrored side by side until it fills a square, or cut. Memory is the peak resident size of the whole process.
The parts of vqcodec's time are those of one more call under the profiler.

Commands (--commands): whole processes that read a file and write one, with everything that starting takes.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vqcodec
from benchmarks import codecs, commands
from benchmarks.anchors import PillowCodec, Pixels
from benchmarks.parts import split, vqcodec_parts
from benchmarks.processes import ROOT, figures_of, machine, peak_mib
from benchmarks.rate_distortion import read_pixels
from benchmarks.report.curves import table
from benchmarks.report.results import dump

SCHEMA = 2
BUDGET = 20.0
"""Seconds after which no further repeat begins."""


def enlarge(pixels: np.ndarray, side: int) -> np.ndarray:
    """A square of `side` pixels, filled with a picture (H, W, 3) and its mirror images."""
    for axis in (0, 1):
        twice = np.concatenate([pixels, np.flip(pixels, axis)], axis)
        times = -(-side // twice.shape[axis])
        pixels = np.concatenate([twice] * times, axis).take(range(side), axis)
    return pixels


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of one codec, thread count and size in this process."""
    name, threads, side = args.codecs[0], args.threads[0], args.sides[0]
    started = time.perf_counter()
    make = functools.partial(codecs.make, model=args.model, device=args.devices[0])
    codec = _with_threads(make(name), threads)
    loaded = time.perf_counter() - started
    pixels = read_pixels(args.image)
    scale = range(int(codec.qualities[0]), int(codec.qualities[-1]) + 1)
    area = pixels.shape[0] * pixels.shape[1]
    slow = isinstance(codec, codecs.VqCodec) and codec.settings["effort"] != 1
    quick = make(codecs.VQCODEC) if slow else codec
    quality = nearest_quality(lambda q: 8 * len(quick.encode(pixels, q)) / area, scale, args.bpp)
    codec.decode(codec.encode(pixels, quality))
    if side:
        pixels = np.ascontiguousarray(enlarge(pixels, side))
        area = side * side
    data = codec.encode(pixels, quality)
    encode = _median_seconds(lambda: codec.encode(pixels, quality), args.repeats)
    decode = _median_seconds(lambda: codec.decode(data), args.repeats)
    parts = vqcodec_parts() if isinstance(codec, codecs.VqCodec) else None
    figures = {
        "codec": name,
        "versions": codec.versions,
        "device": args.devices[0],
        "threads": threads,
        "quality": quality,
        "bpp": round(8 * len(data) / area, 4),
        "side": side,
        "pixels": area,
        "load_s": round(loaded, 4),
        "encode_s": round(encode, 5),
        "decode_s": round(decode, 5),
        "encode_parts_s": split(lambda: codec.encode(pixels, quality), parts) if parts else {},
        "decode_parts_s": split(lambda: codec.decode(data), parts) if parts else {},
        "peak_mib": peak_mib(),
    }
    if isinstance(codec, codecs.VqCodec):
        figures |= _png_seconds(pixels)
    return figures


def nearest_quality(rate: Callable[[float], float], qualities: Sequence[float], target: float) -> float:
    """The quality whose rate is nearest to `target`, by bisection: rates grow with quality."""
    low, high = 0, len(qualities) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate(qualities[middle]) < target else (low, middle)
    return min((qualities[low], qualities[high]), key=lambda quality: abs(rate(quality) - target))


def _median_seconds(call: Callable[[], object], repeats: int) -> float:
    totals: list[float] = []
    while len(totals) < repeats and sum(totals) < BUDGET:
        started = time.perf_counter()
        call()
        totals.append(time.perf_counter() - started)
    return statistics.median(totals)


def _png_seconds(pixels: Pixels) -> dict[str, float]:
    """What reading and writing the picture itself takes, which no figure of a codec holds."""
    file = io.BytesIO()
    started = time.perf_counter()
    Image.fromarray(pixels).save(file, "PNG")
    written = time.perf_counter()
    np.asarray(Image.open(file).convert("RGB"))
    read = time.perf_counter()
    return {"png_write_s": round(written - started, 5), "png_read_s": round(read - written, 5)}


def _with_threads(codec: codecs.Codec, threads: int) -> codecs.Codec:
    """Give the codec `threads` threads where it can use them; torch reads the environment by itself."""
    if isinstance(codec, PillowCodec) and codec.format == "AVIF":
        from PIL import AvifImagePlugin  # noqa: PLC0415  absent from older Pillow

        AvifImagePlugin.DEFAULT_MAX_THREADS = threads  # decoding has no argument for it
        return replace(codec, options={**codec.options, "max_threads": threads})
    return codec


def _in_fresh_process(
    args: argparse.Namespace, name: str, threads: int, side: int, device: str
) -> dict[str, Any]:
    words = ["--child", "--image", str(args.image.resolve()), "--codecs", name, "--sides", str(side)]
    words += ["--threads", str(threads), "--devices", device, "--model", args.model]
    words += ["--bpp", str(args.bpp), "--repeats", str(args.repeats)]
    return figures_of("benchmarks.speed", words, threads)


def speed_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Times in process; behind each time of another codec, how many times as long vqcodec takes."""
    rows = [["codec", "device", "threads", "MP", "bpp", "encode s", "decode s", "peak MiB", "load s"]]
    # Of several devices the first, the CPU, is compared.
    ours = {(f["threads"], f["pixels"]): f for f in reversed(runs) if f["codec"] == codecs.VQCODEC}
    for f in runs:
        own = None if f["codec"].startswith(codecs.VQCODEC) else ours.get((f["threads"], f["pixels"]))
        times = []
        for key in ("encode_s", "decode_s"):
            ratio = f" (x{own[key] / f[key]:.3g})" if own else ""
            times.append(f"{f[key]:.3g}{ratio}")
        sizes = [f["device"], str(f["threads"]), f"{f['pixels'] / 1e6:.3g}", f"{f['bpp']:.3f}"]
        rows.append([f["codec"], *sizes, *times, str(f["peak_mib"]), f"{f['load_s']:.2f}"])
    return rows


def part_rows(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Where vqcodec's time goes, in seconds."""
    rows = [["device", "threads", "MP", "encode", "decode", "PNG read", "PNG write"]]
    for f in runs:
        if f["encode_parts_s"]:
            split = [
                ", ".join(f"{part} {seconds:.3g}" for part, seconds in f[key].items())
                for key in ("encode_parts_s", "decode_parts_s")
            ]
            png = [f"{f[key]:.3g}" for key in ("png_read_s", "png_write_s")]
            rows.append([f["device"], str(f["threads"]), f"{f['pixels'] / 1e6:.3g}", *split, *png])
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="speed", description=__doc__.split("\n", 1)[0])
    sample = ROOT / "vqcodec" / "samples" / "dog.png"
    parser.add_argument("--image", type=Path, default=sample, help="a lossless picture")
    parser.add_argument("--codecs", nargs="+", default=codecs.DEFAULT_NAMES, choices=codecs.CODEC_NAMES)
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--bpp", type=float, default=0.5, help="rate at which codecs are compared")
    parser.add_argument("--sides", nargs="+", type=int, default=[0], help="squares; 0 = the picture as it is")
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--devices", nargs="+", help="for vqcodec; default: cpu, and cuda where present")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--commands", action="store_true", help="time whole processes as well")
    parser.add_argument("--out", type=Path, metavar="JSON", help="write the figures here as well")
    parser.add_argument("--resume", action="store_true", help="keep what --out holds already, and add to it")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(measure(args)))
        return 0
    digest = hashlib.sha256(args.image.read_bytes()).hexdigest()
    settings = {"image_sha256": digest, "bpp": args.bpp, "repeats": args.repeats}
    result: dict[str, Any] = {"schema": SCHEMA, "machine": machine(max(args.threads)), "settings": settings}
    result["runs"] = []
    if args.resume and args.out and args.out.exists():
        kept = json.loads(args.out.read_text(encoding="utf-8"))
        if kept.get("schema") != SCHEMA:
            print(f"speed: {args.out} is of another schema than {SCHEMA}", file=sys.stderr)
            return 1
        if kept.get("settings") != settings:
            print(f"speed: {args.out} was measured by other settings; use another --out", file=sys.stderr)
            return 1
        result |= kept
        versions = {name: codecs.make(name, model=args.model).versions for name in args.codecs}
        result["runs"] = [r for r in kept["runs"] if versions.get(r["codec"]) in (None, r["versions"])]
    runs: list[dict[str, Any]] = result["runs"]
    known = {tuple(run[key] for key in ("codec", "threads", "side", "device")) for run in runs}
    found = [device for device in vqcodec.features()["devices"] if device != "mps"]
    places = [
        (name, threads, side, device)
        for side in args.sides
        for threads in args.threads
        for name in args.codecs
        for device in (args.devices or found if name.startswith(codecs.VQCODEC) else ["cpu"])
    ]
    try:
        for place in places:
            if place in known:
                continue
            runs.append(_in_fresh_process(args, *place))
            # At once, so that an interrupted run has something to show.
            if args.out:
                args.out.write_text(dump(result), encoding="utf-8")
            if sys.stderr.isatty():
                print(f"\r{len(runs)}/{len(places)}", end="", file=sys.stderr, flush=True)
        if args.commands:
            result |= commands.run(args.image, args.codecs, args.model, max(args.threads), args.repeats)
    except subprocess.CalledProcessError as error:  # its own message is on stderr already
        print(f"speed: a measurement ended with status {error.returncode}", file=sys.stderr)
        return 1
    print(table(speed_rows(runs)))
    print(table(part_rows(runs)))
    if args.commands:
        print(table(commands.rows(result)))
    if args.out:
        args.out.write_text(dump(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
