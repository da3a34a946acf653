"""Read a .vqc file by what a program may use already: `python examples/as_arrays.py photo.vqc`.

Readers that go through Pillow need one line, at the start. `vqcodec.torch` gives tensors without it.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from PIL import Image

import vqcodec
import vqcodec.torch


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("coded", help="a .vqc file")
    path = parser.parse_args().coded

    vqcodec.register_pillow_plugin()
    with Image.open(path) as image:  # as imageio, matplotlib and torchvision do
        pixels = np.asarray(image.convert("RGB"))
    print(f"array {pixels.shape}, {pixels.dtype}, mean {pixels.mean():.1f}")

    tensor = vqcodec.torch.decode(path)  # device="cuda" decodes on a card, and leaves the pixels there
    print(f"tensor {tuple(tensor.shape)}, {tensor.dtype}, mean {tensor.float().mean():.1f}")
    batch = vqcodec.torch.decode_batch([path, path])
    print(f"batch {tuple(batch.shape)}")


if __name__ == "__main__":
    try:
        main()
    except (vqcodec.errors.VQCodecError, OSError, ValueError) as error:
        sys.exit(str(error))
