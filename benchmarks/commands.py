"""Whole processes under the clock: commands that convert a file, and the start of the command line.

`benchmarks.speed --commands` runs these: `vqcodec` as people run it, and the tools of other codecs that are
installed (Debian's libavif-bin, libjxl-tools and webp), each at about the size of vqcodec's file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.in_process import nearest_quality
from benchmarks.processes import ROOT, environment, program
from benchmarks.rate_distortion import read_pixels

VQCODEC = program("vqcodec")


@dataclass(frozen=True)
class Tool:
    """An encoder and a decoder of files, with their words.

    Attributes:
        version: the encoder's option that tells it.
        qualities: in the order of growing files.
    """

    encoder: str
    encode: str
    decoder: str
    decode: str
    suffix: str
    version: str
    qualities: Sequence[int]

    @property
    def installed(self) -> bool:
        """Whether both programs are on the path."""
        return all(shutil.which(name) for name in (self.encoder, self.decoder))

    def said_version(self) -> str:
        """The first line of what the encoder says of itself."""
        command = [self.encoder, self.version]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout.strip().split("\n")[0]


AVIF = Tool(
    "avifenc",
    # Options that versions before 1.0 have as well, with quantizers for qualities.
    "-s 6 -y 444 -j {threads} --min {quality} --max {quality} {source} {target}",
    "avifdec",
    "-j {threads} {source} {target}",
    ".avif",
    "--version",
    range(63, -1, -1),
)
JXL = Tool(
    "cjxl",
    "{source} {target} -q {quality} --num_threads={threads}",
    "djxl",
    "{source} {target} --num_threads={threads}",
    ".jxl",
    "--version",
    range(100),
)
WEBP = Tool(
    "cwebp",
    "-mt -q {quality} {source} -o {target}",
    "dwebp",
    "-mt {source} -o {target}",
    ".webp",
    "-version",
    range(101),
)
TOOLS = (AVIF, JXL, WEBP)


def seconds(command: Sequence[str], threads: int, repeats: int) -> dict[str, float]:
    """Median wall-clock and processor seconds of a whole process.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    import resource  # noqa: PLC0415  not on Windows

    walls, busy = [], []
    for _ in range(repeats):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        _run(command, threads)
        walls.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall_s": round(median(walls), 3), "cpu_s": round(median(busy), 3)}


def _run(command: Sequence[str], threads: int) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(threads),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)


def run(image: Path, model: str, threads: int, repeats: int) -> list[dict[str, Any]]:
    """Figures of every process, as {"process", "version", "bytes", "wall_s", "cpu_s"}.

    Raises:
        subprocess.CalledProcessError: one failed; what it said is on stderr.
    """
    entries: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, coded, back = (str(Path(folder) / name) for name in ("x.png", "x.vqc", "y.png"))
        Image.fromarray(read_pixels(image)).save(source)
        model_words = [] if model == "default" else ["-m", model]
        own = {
            "compress": [source, "-o", coded, "-f", "--quiet", *model_words],
            "decompress": [coded, "-o", back, "-f", "--quiet", *model_words],
            "info": [coded],
            "--help": [],
            "--version": [],
        }
        for name, words in own.items():
            figures = seconds([*VQCODEC, name, *words], threads, repeats)
            entries.append({"process": f"vqcodec {name}", **figures})
        size = Path(coded).stat().st_size
        entries[0]["bytes"] = size
        for tool in TOOLS:
            if tool.installed:
                entries += _tool_figures(tool, source, folder, size, threads, repeats)
            else:
                print(f"speed: {tool.encoder} is not installed, its rows are left out", file=sys.stderr)
    return entries


def _tool_figures(
    tool: Tool, source: str, folder: str, size: int, threads: int, repeats: int
) -> list[dict[str, Any]]:
    """Of its encoder and its decoder, at the quality whose file is nearest to `size` bytes."""
    coded, back = Path(folder) / f"x{tool.suffix}", Path(folder) / "z.png"

    def command(program: str, template: str, **values: object) -> list[str]:
        # Filled in word by word: values may hold spaces.
        return [program, *(word.format(threads=threads, **values) for word in template.split())]

    def encode(quality: float) -> list[str]:
        return command(tool.encoder, tool.encode, quality=quality, source=source, target=coded)

    def rate(quality: float) -> float:
        _run(encode(quality), threads)
        return coded.stat().st_size

    quality = nearest_quality(rate, tool.qualities, size)
    figures = seconds(encode(quality), threads, repeats)
    said = {"version": tool.said_version(), "quality": quality, "bytes": coded.stat().st_size}
    decode = command(tool.decoder, tool.decode, source=coded, target=back)
    return [
        {"process": tool.encoder, **said, **figures},
        {"process": tool.decoder, **seconds(decode, threads, repeats)},
    ]
