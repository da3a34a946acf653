"""The best picture for a number of bytes: `python examples/target_size.py photo.png 20000 photo.vqc`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import vqcodec
from vqcodec.metrics.rate_distortion import psnr


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("size", type=int, help="bytes that the file may have")
    parser.add_argument("coded", type=Path, help="the .vqc file to write")
    arguments = parser.parse_args()
    codec = vqcodec.load()
    data = codec.compress(arguments.picture, target_size=arguments.size)
    arguments.coded.write_bytes(data)
    original = codec.prepare(arguments.picture).picture.pixels  # upright, in 8 bits, as it is coded
    decoded = np.asarray(codec.decompress(data).convert("RGB"))
    info = vqcodec.probe(data)
    print(f"{len(data)} bytes, {info.bpp:.3f} bpp, quality {info.quality:.1f}")
    print(f"PSNR {psnr(original, decoded):.2f} dB")


if __name__ == "__main__":
    try:
        main()
    except (vqcodec.errors.VQCodecError, OSError, ValueError) as error:
        sys.exit(str(error))
