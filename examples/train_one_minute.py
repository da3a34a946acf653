"""Fit the packaged model to your pictures for one minute: `python examples/train_one_minute.py PHOTOS`.

A minute is enough to see how it is done, not to gain much: docs/training.md says how long a real run takes.
Only the prior is trained (--prior-only): the transforms, and with them the decoded pictures, stay almost as
they are, and the files of pictures like these get smaller.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import vqcodec
from vqcodec.training.data import load_images


def run(module: str, *options: object) -> None:
    """Run one of the package's commands."""
    subprocess.run([sys.executable, "-m", module, *map(str, options)], check=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of pictures, searched through")
    parser.add_argument("--minutes", type=float, default=1.0, help="of training")
    parser.add_argument("--crop", type=int, default=256, help="smaller pictures are left out; multiple of 32")
    parser.add_argument("--batches", type=int, default=40, help="of crops that the tables are counted on")
    parser.add_argument("-o", "--output", type=Path, help="weights file to keep, for vqcodec models import")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        run(
            "vqcodec.training",
            *("--from", "default", "--data", arguments.photos, "--out", out, "--prior-only"),
            *("--minutes", arguments.minutes, "--crop", arguments.crop, "--late-crop", arguments.crop),
            *("--learning-rate", 1e-4, "--warmup", 10, "--log-every", 10),
        )
        weights = arguments.output or Path(folder, "mine.safetensors")
        run(
            "vqcodec.training.export",
            *(out / "state.safetensors", "--data", arguments.photos, "--batches", arguments.batches),
            *("-o", weights),
        )
        pictures = load_images(arguments.photos, arguments.crop, most=3)
        for name in ("default", weights):
            codec = vqcodec.load(name)
            size = sum(len(codec.compress(picture)) for picture in pictures)
            print(f"{codec.name}: {size} bytes for {len(pictures)} of the pictures")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:  # it has said why
        sys.exit(error.returncode)
