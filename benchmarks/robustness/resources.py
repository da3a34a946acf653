"""Memory and threads: `python -m benchmarks.robustness.resources [--decodes 10000] [--encodes 2000]`.

bombs        files that announce too much, each in a fresh process: error, seconds, MB beyond a small file
leaks        many decodes and encodes of tiny pictures in one process: its memory on the way
threads      8 threads share one codec and agree with one
fork         a child goes on with a codec that its parent has used
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, program
from benchmarks.robustness import samples
from benchmarks.robustness.bombs import FLAT, MEBIBYTE, bombs
from vqcodec.codec import Codec
from vqcodec.errors import FormatError

BOMB_MB = 100
"""What refusing a bomb may take beyond a small file: most of it is the bomb's own bytes."""
FLAT_MB = 16 * 16
"""16 bytes a pixel."""
LEAK_KB = 2000
"""How much memory may grow between the middle and the end of a run: nothing grows with every picture."""
POINTS = 8
WARM_UP = 0.25
THREADS = 8


def resident() -> int:
    """Bytes of memory that this process holds; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def highest() -> int:
    """The most bytes of memory that this process has held; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def try_bomb(name: str, codec: Codec) -> dict[str, Any]:
    """Decode a bomb in this process."""
    codec.decompress(samples.golden()["dot"])
    data, limits = bombs(bytes.fromhex(codec.bitstream_id))[name]
    before, begun = highest(), time.perf_counter()
    try:
        codec.decompress(data, limits=limits)
        error = "none"
    except FormatError as found:
        error = type(found).__name__
    seconds = round(time.perf_counter() - begun, 3)
    return {"error": error, "seconds": seconds, "mb": round((highest() - before) / MEBIBYTE, 1)}


def try_bombs() -> Iterator[dict[str, Any]]:
    """Every bomb in a process of its own."""
    for name in bombs(bytes(8)):
        command = program("benchmarks.robustness.resources", "--bomb", name)
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        died = {"error": f"exit {done.returncode}", "mb": 0.0}
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else died
        refused = found["error"] in ("LimitExceeded", "Truncated", "CorruptData")
        ok = refused and found["mb"] < (FLAT_MB if name == FLAT else BOMB_MB)
        yield {"check": "bomb", "what": name, **found, "ok": ok}


def curve(call: Callable[[int], object], count: int) -> list[float]:
    """Memory in MB at points on the way of `count` calls; the first after a warm-up."""
    marks = {round(count * (WARM_UP + (1 - WARM_UP) * point / POINTS)) for point in range(POINTS + 1)}
    found = []
    gc.collect()
    gc.freeze()  # what was there before is no leak, and would be gone through at every point
    try:
        for number in range(1, count + 1):
            call(number)
            if number in marks:
                gc.collect()
                found.append(round(resident() / MEBIBYTE, 2))
    finally:
        gc.unfreeze()
    return found


def leaks(codec: Codec, what: str, decodes: int, encodes: int, side: int = 33) -> Iterator[dict[str, Any]]:
    """Decodes and encodes, one after the other, of pictures that take turns."""
    made = list(samples.fresh(8, largest=side, seed=4))
    files = [sample.compress(codec) for sample in made]

    def damaged(number: int) -> None:
        # Errors must give memory back, too.
        data = bytearray(files[number % len(files)])
        data[-1] ^= 1
        try:
            codec.decompress(bytes(data))
        except FormatError:
            return

    works: dict[str, tuple[Callable[[int], object], int]] = {
        "decodes": (lambda number: codec.decompress(files[number % len(files)]), decodes),
        "failing decodes": (damaged, decodes),
        "encodes": (lambda number: made[number % len(made)].compress(codec), encodes),
    }
    for kind, (work, count) in works.items():
        if count > POINTS:
            found = curve(work, count)
            ok = 1024 * (found[-1] - found[len(found) // 2]) <= LEAK_KB
            yield {"check": "leak", "what": f"{what}, {count} {kind}", "mb": found, "ok": ok}


def threads(codec: Codec) -> dict[str, Any]:
    """Pictures to files and back in threads, and alone."""
    made = list(samples.fresh(4 * THREADS, seed=6))

    def work(sample: samples.Sample) -> tuple[bytes, bytes]:
        data = sample.compress(codec)
        return data, codec.decompress(data).tobytes()

    with ThreadPoolExecutor(THREADS) as pool:
        shared = list(pool.map(work, made))
    same = sum(one == work(sample) for one, sample in zip(shared, made, strict=True))
    return {"check": "threads", "what": f"{same} of {len(made)} pictures alike", "ok": same == len(made)}


def fork(codec: Codec) -> dict[str, Any]:
    """A child codes what its parent coded."""
    sample = next(samples.fresh(1, seed=7))
    wanted = sample.compress(codec)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if sample.compress(codec) == wanted else 1)
        finally:
            os._exit(2)
    until = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < until:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
        return {"check": "fork", "what": "the child hangs", "ok": False}
    code = os.waitstatus_to_exitcode(ended[1])
    return {"check": "fork", "what": f"the child ended with {code}", "ok": code == 0}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.resources", description=__doc__)
    parser.add_argument("--decodes", type=int, default=10_000)
    parser.add_argument("--encodes", type=int, default=2_000)
    parser.add_argument("--model", help="an installed model's name, for leaks, too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bomb", help=argparse.SUPPRESS)
    options = parser.parse_args()
    codec = samples.load()
    if options.bomb:
        print(json.dumps(try_bomb(options.bomb, codec)))
        return
    found = []
    for row in _rows(codec, options):
        found.append(row)
        print(json.dumps(row) if options.json else _line(row), flush=True)
    sys.exit(0 if all(row["ok"] for row in found) else 1)


def _rows(codec: Codec, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield from try_bombs()
    yield threads(codec)
    yield fork(codec)
    yield from leaks(codec, "tiny model", options.decodes, options.encodes)
    if options.model:
        yield from leaks(samples.load(options.model), options.model, options.decodes, options.encodes)


def _line(row: dict[str, Any]) -> str:
    told = "  ".join(f"{key} {row[key]}" for key in row if key not in ("check", "what", "ok"))
    return f"{'ok' if row['ok'] else 'WRONG':6} {row['check']:8} {row['what']:42} {told}"


if __name__ == "__main__":
    main()
