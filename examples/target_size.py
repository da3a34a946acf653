"""The best picture for a number of bytes: `python examples/target_size.py photo.png 20000 photo.vqc`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import vqcodec
from vqcodec.metrics.rate_distortion import psnr


def main() -> int:
    """Entry point; returns the exit status, 1 if nothing fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("size", type=int, help="bytes that the file may have")
    parser.add_argument("coded", type=Path, help="the .vqc file to write")
    arguments = parser.parse_args()
    codec = vqcodec.load()
    try:
        data = codec.compress(arguments.picture, target_size=arguments.size)
    except vqcodec.errors.TargetTooSmall as error:
        print(error, file=sys.stderr)
        return 1
    arguments.coded.write_bytes(data)
    with Image.open(arguments.picture) as picture:
        original = np.asarray(picture.convert("RGB"))
    decoded = np.asarray(codec.decompress(data).convert("RGB"))
    info = vqcodec.probe(data)
    print(f"{len(data)} bytes, {info.bpp:.3f} bpp, quality {info.quality:.1f}")
    print(f"PSNR {psnr(original, decoded):.2f} dB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (vqcodec.errors.VQCodecError, OSError) as error:
        sys.exit(str(error))
