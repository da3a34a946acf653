"""How near thumbnails are, and what a folder takes: `python -m benchmarks.thumbnails --data FOLDER`.

* PSNR of thumbnails against those of the originals, made from the whole decoded picture, by
  `vqcodec.Thumbnailer`, and from the coarse layer (`preview=1`).
* Seconds for 200 files, a process for each as file managers start them, two at a time, with a process that
  waits for the next one and without (`VQCODEC_LINGER=0`). Where others use the processor too, seconds of the
  processor, of all these processes, tell more (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

import vqcodec
from benchmarks.processes import machine
from benchmarks.rate_distortion import find_pictures
from vqcodec.files import write_atomic
from vqcodec.metrics.rate_distortion import psnr

SIZES = (64, 128, 256)
QUALITIES = (20, 50, 80)
_SET_CHILD_SUBREAPER = 36
FILES, AT_ONCE, SIZE = 200, 2, 256


def shrunk(image: Image.Image, size: int) -> Image.Image:
    """A thumbnail in the best way there is."""
    copy = image.copy()
    copy.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=None)
    return copy


def nearness(pictures: Sequence[Path]) -> list[dict[str, Any]]:
    """Mean PSNR by quality and size of the three kinds of thumbnails."""
    codec, thumbnailer = vqcodec.load(device="cpu"), vqcodec.Thumbnailer()
    rows = []
    for quality in QUALITIES:
        found: dict[tuple[str, int], list[float]] = {}
        for path in pictures:
            with Image.open(path) as file:
                image = file.convert("RGB")
            data = codec.compress(image, quality=quality, drawn=False, metadata="none")
            whole, coarse = codec.decompress(data), codec.decompress(data, preview=1)
            for size in SIZES:
                kinds = {
                    "whole": shrunk(whole, size),
                    "thumbnailer": thumbnailer.make(data, size),
                    "preview": shrunk(coarse, size),
                }
                for kind, small in kinds.items():
                    value = psnr(np.asarray(small), np.asarray(shrunk(image, size)))
                    found.setdefault((kind, size), []).append(value)
        for size in SIZES:
            means = {kind: round(fmean(found[kind, size]), 2) for kind in ("whole", "thumbnailer", "preview")}
            rows.append({"quality": quality, "size": size, **means})
    return rows


@contextlib.contextmanager
def counting() -> Iterator[list[float]]:
    """Seconds of the processor that processes take which are started within, their children's too."""
    found: list[float] = []
    own = _children()
    with _adopting():
        before = os.times()
        yield found
        while new := _children() - own:
            for child in new:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, 0)
        after = os.times()
    found.append(round(after.children_user + after.children_system - sum(before[2:4]), 2))


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Who waits for another thumbnail is ours to wait for, once its parent has ended."""
    if sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, 0)


def _children() -> set[int]:
    """This process's children; empty where the system does not tell."""
    listings = Path("/proc/self/task").glob("*/children")
    return {int(number) for listing in listings for number in listing.read_text().split()}


def folder_seconds(pictures: Sequence[Path], linger: bool, files: int = FILES) -> dict[str, float]:
    """Seconds for `files` files, of the longest of them, and of the processor, `AT_ONCE` at a time."""
    codec = vqcodec.load(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        coded = [codec.compress(str(path)) for path in pictures]
        for number in range(files):
            (folder / f"{number}.vqc").write_bytes(coded[number % len(coded)])
        settings = {
            "XDG_RUNTIME_DIR": name,
            "VQCODEC_LINGER": "3" if linger else "0",
            "OMP_NUM_THREADS": "1",
        }

        def one(number: int) -> float:
            begun = time.perf_counter()
            source, target = folder / f"{number}.vqc", folder / f"{number}.png"
            words = ["thumbnail", "--uri", source.as_uri(), str(source), str(target), str(SIZE)]
            # What the installed script runs.
            command = [sys.executable, "-m", "vqcodec_cli.entry", *words]
            subprocess.run(command, env=os.environ | settings, check=True)
            return time.perf_counter() - begun

        with counting() as processor:
            begun = time.perf_counter()
            with ThreadPoolExecutor(AT_ONCE) as pool:
                each = list(pool.map(one, range(files)))
            whole = time.perf_counter() - begun
        found = {"seconds": round(whole, 2), "longest": round(max(each), 2)}
        return found | {"processor_seconds": processor[0]}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thumbnails", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="pictures, such as the development set")
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--files", type=int, default=FILES, help="in the folder, 200 unless given")
    arguments = parser.parse_args(argv)
    pictures = list(find_pictures(arguments.data).values())
    result = {
        "machine": machine(1),
        "pictures": len(pictures),
        "nearness": nearness(pictures),
        "files": arguments.files,
        "at_once": AT_ONCE,
        "size": SIZE,
        "lingering": folder_seconds(pictures, True, arguments.files),
        "alone": folder_seconds(pictures, False, arguments.files),
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if arguments.out is not None:
        write_atomic(arguments.out, text.encode())


if __name__ == "__main__":
    main()
