"""Butteraugli's 3-norm by libjxl's program: 0 for equal pictures, 1 where a difference begins to show."""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.anchors import Pixels

PROGRAM = "butteraugli_main"
PACKAGE = "libjxl-devtools"
_NORM = re.compile(r"^3-norm: ([0-9.eE+-]+)$", re.M)


def program() -> Path:
    """Where the program is.

    Raises:
        FileNotFoundError: it is not on the PATH; the message says how to get it.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise FileNotFoundError(
            f"butteraugli needs libjxl's program {PROGRAM} on the PATH; on Debian: apt-get install {PACKAGE}"
        )
    return Path(found)


def butteraugli(original: Pixels, decoded: Pixels) -> float:
    """3-norm of the error map of two uint8 RGB pictures (H, W, 3), for a screen of 80 nits.

    Raises:
        FileNotFoundError: libjxl's program is not there.
        OSError: it fails, or says something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("original.ppm", "decoded.ppm")]
        for path, pixels in zip(paths, (original, decoded), strict=True):
            Image.fromarray(pixels).save(path)
        done = subprocess.run([program(), *paths], capture_output=True, text=True, check=False)
    found = _NORM.search(done.stdout)
    if done.returncode or found is None:
        raise OSError(f"{PROGRAM} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return float(found[1])


@functools.cache
def version() -> str:
    """Which program it is: its Debian package, or its SHA-256 sum; releases of libjxl differ by 2 %."""
    path = program()
    if shutil.which("dpkg-query"):
        asked = ["dpkg-query", "-W", "-f", "${Version}", PACKAGE]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout and path.parent == Path("/usr/bin"):
            return f"{PACKAGE} {done.stdout}"
    return f"{PROGRAM} of SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
