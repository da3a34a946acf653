"""Whole processes under the clock: commands that convert a file, and the start of the command line.

`benchmarks.speed --commands` runs these. vqcodec is run as people run it, `vqcodec compress` and
`decompress`; the other codecs by a Python of their own that does the same with Pillow or imagecodecs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks import codecs
from benchmarks.processes import ROOT, environment
from benchmarks.rate_distortion import read_pixels

QUALITY = 50


def seconds(command: Sequence[str], threads: int, repeats: int) -> dict[str, float]:
    """Median wall-clock and processor seconds of a whole process.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    import resource  # noqa: PLC0415  not on Windows

    walls, busy = [], []
    for _ in range(repeats):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            command, cwd=ROOT, env=environment(threads), check=True, stdout=subprocess.DEVNULL, stderr=None
        )
        walls.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall_s": round(median(walls), 3), "cpu_s": round(median(busy), 3)}


def run(image: Path, names: Sequence[str], model: str, threads: int, repeats: int) -> dict[str, Any]:
    """Figures of every codec's encoding and decoding process, and of commands that need no torch."""
    with tempfile.TemporaryDirectory() as folder:
        source, coded, back = (str(Path(folder) / name) for name in ("x.png", "x.vqc", "y.png"))
        Image.fromarray(read_pixels(image)).save(source)
        tool = [sys.executable, "-m", "vqcodec"]
        model_words = [] if model == "default" else ["-m", model]
        entries = []
        for name in names:
            if name == codecs.VQCODEC:
                to = [*tool, "compress", source, "-o", coded, "-f", "--quiet", *model_words]
                fro = [*tool, "decompress", coded, "-o", back, "-f", "--quiet", *model_words]
            else:
                once = [sys.executable, "-m", "benchmarks.commands", name, model]
                to, fro = [*once, "encode", source, coded], [*once, "decode", coded, back]
            entries.append(
                {
                    "codec": name,
                    "encode": seconds(to, threads, repeats),
                    "decode": seconds(fro, threads, repeats),
                }
            )
        subprocess.run([*tool, "compress", source, "-o", coded, "-f", "--quiet", *model_words], check=True)
        starts = {
            words[0]: seconds([*tool, *words], threads, repeats)
            for words in (["--version"], ["--help"], ["info", coded])
        }
    return {"commands": entries, "starts": starts}


def rows(result: dict[str, Any]) -> list[list[str]]:
    """A table of `run`."""
    lines = [["process", "wall s", "processor s"]]
    for entry in result["commands"]:
        for action in ("encode", "decode"):
            figures = entry[action]
            lines.append(
                [f"{entry['codec']} {action}", f"{figures['wall_s']:.2f}", f"{figures['cpu_s']:.2f}"]
            )
    for name, figures in result["starts"].items():
        lines.append([f"vqcodec {name}", f"{figures['wall_s']:.2f}", f"{figures['cpu_s']:.2f}"])
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """One conversion of another codec, for `run`: NAME MODEL encode|decode SOURCE TARGET."""
    name, model, action, source, target = sys.argv[1:] if argv is None else argv
    codec = codecs.make(name, model=model)
    if action == "encode":
        Path(target).write_bytes(codec.encode(read_pixels(Path(source)), QUALITY))
    else:
        Image.fromarray(codec.decode(Path(source).read_bytes())).save(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
