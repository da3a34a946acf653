"""A folder for faults: pictures and files in it, the command line run there, and small file systems."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.processes import environment, program
from benchmarks.robustness import samples
from vqcodec.codec import Codec

SMALL, LARGE = (48, 64), (400, 500)
"""Sides of pictures that a command codes in an instant, and long enough to be hit."""
LEFT = ".vqcodec.tmp"


class Room:
    """A folder with pictures and their files, and commands in it."""

    def __init__(self, folder: Path, codec: Codec) -> None:
        self.folder, self.codec = folder, codec
        self.old = b"what was there before"
        random_ = np.random.default_rng(1)
        for number, (height, width) in enumerate((SMALL, LARGE, SMALL)):
            image = Image.fromarray(samples.picture(height, width, "RGB", random_))
            image.save(folder / f"{number}.png")
            (folder / f"{number}.vqc").write_bytes(codec.compress(image))

    def command(self, *words: str, before: str = "", **options: Any) -> subprocess.Popen[str]:
        """`vqcodec` with the tiny model, after some Python if that is given."""
        line = program("vqcodec", *words, "-m", str(samples.TINY))
        if before:
            line[line.index("-c") + 1] = before + line[line.index("-c") + 1]
        # Every thread would take address space, which is short in some of these.
        given: dict[str, Any] = {
            "cwd": self.folder,
            "env": environment(1),
            "stderr": subprocess.PIPE,
        } | options
        return subprocess.Popen(line, text=True, **given)

    def run(self, *words: str, **options: Any) -> tuple[int, str]:
        """Exit code and stderr of a command."""
        process = self.command(*words, **options)
        told = process.communicate(timeout=120)[1]
        return process.returncode, told

    def whole(self, path: Path) -> bool:
        """Whether a result is complete, or what was there before, or not there."""
        if not path.exists() or path.read_bytes() == self.old:
            return True
        if path.suffix == ".vqc":
            self.codec.decompress(path)
        else:
            with Image.open(path) as image:
                image.load()
        return True

    def left(self) -> list[str]:
        """Names of temporary files, which are taken away."""
        found = list(self.folder.rglob(f".*{LEFT}"))
        for path in found:
            path.unlink()
        return [path.name for path in found]


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A new file system in memory at a new folder, where we may mount one; tells whether it is there."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    try:
        there = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        there = False
    try:
        yield there
    finally:
        if there:
            subprocess.run(["umount", str(folder)], check=False)
