"""What the first picture costs in a fresh process, split: Python itself, imports, loading, and the picture.

Imports are counted wherever they happen, by `python -X importtime`, and taken off the phase that they happen
in. The split is of vqcodec's library; `benchmarks.commands` times its whole commands.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.commands import VQCODEC
from benchmarks.processes import ROOT, environment, program
from benchmarks.rate_distortion import read_pixels

ACTIONS = ("compress", "decompress")


def run(image: Path, model: str, threads: int, repeats: int) -> list[dict[str, Any]]:
    """Medians of each way's seconds.

    Raises:
        subprocess.CalledProcessError: a process failed; what it said is on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, coded = (str(Path(folder) / name) for name in ("x.png", "x.vqc"))
        Image.fromarray(read_pixels(image)).save(source)
        model_words = [] if model == "default" else ["-m", model]
        subprocess.run(
            [*VQCODEC, "compress", source, "-o", coded, "--quiet", *model_words], check=True, cwd=ROOT
        )
        entries = []
        for action, given in zip(ACTIONS, (source, coded), strict=True):
            found = [_once([action, given, model], threads) for _ in range(repeats)]
            medians = {name: round(median(one[name] for one in found), 4) for name in found[0]}
            entries.append({"action": action, "threads": threads, **medians})
        return entries


def _once(words: list[str], threads: int) -> dict[str, float]:
    command = program("benchmarks.first_picture", *words, options=("-X", "importtime"))
    begun = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment(threads), stderr=subprocess.PIPE, text=True, check=False
    )
    wall = time.perf_counter() - begun
    lines = done.stderr.splitlines()
    if done.returncode:
        said = [line for line in lines if not line.startswith("import time:")]
        print("\n".join(said), file=sys.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)
    return split(lines, wall)


def split(lines: Iterable[str], wall: float) -> dict[str, float]:
    """Seconds of a process of `wall` seconds, of what it wrote to stderr.

    Returns:
        "python_s", the start and end of Python, "import_s", "load_s", "picture_s" and "wall_s", their sum.
    """
    begun: dict[str, float] = {}
    imports: dict[str, float] = {}
    now = ""
    for line in lines:
        kind, _, rest = line.partition(": ")
        if kind == "phase":
            now, moment = rest.split()
            begun[now], imports[now] = float(moment), 0.0
        elif kind == "import time" and now and (own := rest.split("|")[0].strip()).isdecimal():
            imports[now] += int(own) / 1e6
    load, picture = begun["picture"] - begun["load"], begun["end"] - begun["picture"]
    return {
        "python_s": wall - load - picture,
        "import_s": imports["load"] + imports["picture"],
        "load_s": load - imports["load"],
        "picture_s": picture - imports["picture"],
        "wall_s": wall,
    }
