"""Rate-distortion curves: every codec, every quality, every picture of a folder, by PSNR and other judges.

    python -m benchmarks.rate_distortion --data kodak/ --out kodak.json --jobs 2 --plot kodak.png
    python -m benchmarks.rate_distortion --data kodak/ --out kodak.json --resume --codecs vqcodec avif \
        --figures ms_ssim ssimulacra2 butteraugli cvvdp lpips dists

The result file is also the cache: with --resume whatever is already there for the same pictures, settings and
versions is kept. --jobs measures several pictures at a time, in processes that share the cores.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import codecs, measures
from benchmarks.anchors import Pixels
from benchmarks.processes import cores, environment
from benchmarks.report import curves
from benchmarks.report.results import FIGURES, CodecResult, Picture, Point, ResultError, Results, Sample, load
from vqcodec.errors import ModelNotFound
from vqcodec.metrics import rate_distortion

SUFFIXES = {".png", ".ppm", ".bmp", ".tif", ".tiff"}
"""Lossless pictures only: a lossy original would favour the codec it came from."""

SAVE_SECONDS = 5.0

Wanted = dict[float, list[str]]
"""Of one picture: at which qualities it is to be measured, and by which figures."""


def find_pictures(folder: Path) -> dict[str, Path]:
    """The lossless pictures of a folder (not of its sub-folders) by file name.

    Raises:
        FileNotFoundError: there are none.
    """
    found = {path.name: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    if not found:
        raise FileNotFoundError(f"{folder}: no {', '.join(sorted(SUFFIXES))} pictures here")
    return found


def read_pixels(path: Path) -> Pixels:
    """uint8 RGB pixels (H, W, 3) of a picture file; metadata and colour profile are left behind."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def identify(pixels: Pixels) -> Picture:
    """Size and hash of a picture's RGB pixels."""
    height, width = pixels.shape[:2]
    return Picture(width, height, hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest())


def measure(
    codec: codecs.Codec, pixels: Pixels, quality: float, figures: Sequence[str] = ("psnr",)
) -> Sample:
    """Compress and decompress one picture once; `figures` are those of `FIGURES` that are wanted.

    Raises:
        ValueError: the codec returns a picture of another size, or a judge cannot take one so small.
    """
    data = codec.encode(pixels, quality)
    decoded = codec.decode(data)
    psnr = rate_distortion.psnr(pixels, decoded)
    more = {name: round(measures.judge(name)(pixels, decoded), 6) for name in figures if name != "psnr"}
    height, width = pixels.shape[:2]
    # Rounded here and not when saving, so that a resumed run prints the figures of an uninterrupted one.
    rate = round(rate_distortion.bpp(len(data), width, height), 6)
    return Sample(len(data), rate, round(psnr, 5) if math.isfinite(psnr) else None, **more)


def measure_picture(codec: codecs.Codec, path: Path, wanted: Wanted) -> Iterator[tuple[float, Sample]]:
    """Read one picture and measure it at each quality by the figures that are wanted there."""
    pixels = read_pixels(path)
    for quality, figures in wanted.items():
        yield quality, measure(codec, pixels, quality, figures)


def run(
    results: Results,
    paths: dict[str, Path],
    codec: codecs.Codec,
    qualities: Sequence[float],
    figures: Sequence[str] = ("psnr",),
    pool: Executor | None = None,
    model: str = "default",
) -> Iterator[tuple[int, int]]:
    """Fill `results` with what is missing of one codec; yields (done, all) after each step.

    Figures that a sample has already are kept. Points of other settings or versions of this codec are
    dropped. The workers of a `pool` make the codec themselves, from its name and `model`.

    Raises:
        ResultError: a file has other bytes than when its first figures were measured.
    """
    entry = results.codecs.get(codec.name)
    if entry is None or (entry.settings, entry.versions) != (codec.settings, codec.versions):
        entry = results.codecs[codec.name] = CodecResult(codec.settings, codec.versions)
    points = [entry.points.setdefault(quality, Point(quality)) for quality in qualities]
    wanted: dict[str, Wanted] = {name: {} for name in paths}
    for point in points:
        for name in paths:
            if missing := point.images[name].lacks(figures) if name in point.images else [*figures]:
                wanted[name][point.quality] = missing
    total = len(points) * len(paths)
    done = total - sum(len(qualities) for qualities in wanted.values())
    yield done, total
    for name, quality, sample in _samples(
        codec, {n: (paths[n], more) for n, more in wanted.items() if more}, pool, model
    ):
        images = entry.points[quality].images
        images[name] = images[name].joined(sample) if name in images else sample
        done += 1
        yield done, total


def _samples(
    codec: codecs.Codec, wanted: dict[str, tuple[Path, Wanted]], pool: Executor | None, model: str
) -> Iterator[tuple[str, float, Sample]]:
    """(name, quality, sample) of whatever is wanted, as it comes."""
    if pool is None:
        for name, (path, more) in wanted.items():
            for quality, sample in measure_picture(codec, path, more):
                yield name, quality, sample
        return
    waiting = {
        pool.submit(_measure_apart, codec.name, model, path, more): name
        for name, (path, more) in wanted.items()
    }
    for finished in as_completed(waiting):
        for quality, sample in finished.result():
            yield waiting[finished], quality, sample


@functools.cache
def _made(name: str, model: str) -> codecs.Codec:
    return codecs.make(name, model=model)


def _measure_apart(name: str, model: str, path: Path, wanted: Wanted) -> list[tuple[float, Sample]]:
    """`measure_picture` in a worker process."""
    return list(measure_picture(_made(name, model), path, wanted))


def _share_cores(jobs: int) -> None:
    """Give this worker its share of the cores; torch reads these when it is first imported, by a codec."""
    os.environ.update(environment(max(1, cores() // jobs)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    args = _parser().parse_args(argv)
    try:
        # Whatever a judge or a curve lacks is said before hours of measuring.
        published = curves.load_published(args.published) if args.published else {}
        definitions = {name: _ready(name) for name in args.figures if name != "psnr"}
        results, paths = _start(args)
        for name, text in definitions.items():
            results.define(name, text)
        with ExitStack() as stack:
            pool = None
            if args.jobs > 1:
                context = multiprocessing.get_context("spawn")
                pool = stack.enter_context(
                    ProcessPoolExecutor(args.jobs, context, initializer=_share_cores, initargs=(args.jobs,))
                )
            for name in args.codecs:
                _run_and_save(results, paths, codecs.make(name, model=args.model), args, pool)
    except (ResultError, ModelNotFound, OSError, ValueError, ImportError) as error:
        print(f"rate_distortion: {error}", file=sys.stderr)
        return 1
    print(curves.rd_table(results))
    for figure in args.figures:
        print(curves.bd_table(results, published if figure == "psnr" else {}, figure))
    if args.plot and not curves.plot(results, published, args.plot):
        print("rate_distortion: no plot, matplotlib is not installed", file=sys.stderr)
    return 0


def _ready(judge: str) -> str:
    """The definition of a judge that was loaded."""
    measures.judge(judge)
    return measures.definition(judge)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rate_distortion", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of lossless pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="result file")
    parser.add_argument(
        "--codecs",
        nargs="+",
        default=codecs.DEFAULT_NAMES,
        choices=codecs.CODEC_NAMES,
        help="default: the others at their usual speeds, and vqcodec at effort 1",
    )
    parser.add_argument("--qualities", nargs="+", type=_number, metavar="Q", help="default: a grid per codec")
    parser.add_argument(
        "--figures", nargs="+", default=["psnr"], choices=FIGURES, help="default: psnr, which is always taken"
    )
    parser.add_argument("--model", default="default", help="vqcodec weights: a name or a file")
    parser.add_argument("--published", type=Path, metavar="JSON", help="published curves to compare with")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the curves (needs matplotlib)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="pictures at a time")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="keep what the result file already holds")
    either.add_argument("--force", action="store_true", help="replace the result file")
    return parser


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value == int(value) else value


def _start(args: argparse.Namespace) -> tuple[Results, dict[str, Path]]:
    paths = find_pictures(args.data)
    dataset = {name: identify(read_pixels(path)) for name, path in paths.items()}
    if not args.out.exists() or args.force:
        return Results(dataset), paths
    if not args.resume:
        raise ResultError(f"{args.out} exists; --resume continues it, --force replaces it")
    results = load(args.out)
    if results.dataset != dataset:
        raise ResultError(f"{args.out} was measured on other pictures than those in {args.data}")
    return results, paths


def _run_and_save(
    results: Results,
    paths: dict[str, Path],
    codec: codecs.Codec,
    args: argparse.Namespace,
    pool: Executor | None,
) -> None:
    saved, bar, out = time.monotonic(), sys.stderr.isatty(), args.out
    try:
        qualities = args.qualities or codec.qualities
        for done, total in run(results, paths, codec, qualities, args.figures, pool, args.model):
            if bar:
                filled = 30 * done // total
                line = f"\r{codec.name:>10} [{'#' * filled:<30}] {done}/{total}"
                print(line, end="", file=sys.stderr, flush=True)
            if time.monotonic() - saved > SAVE_SECONDS:
                results.save(out)
                saved = time.monotonic()
    finally:
        results.save(out)
        if bar:
            print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
