"""Save and open .vqc files with Pillow: `python examples/pillow_plugin.py photo.png photo.vqc`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

import vqcodec


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("coded", type=Path, help="the .vqc file to write")
    arguments = parser.parse_args()
    vqcodec.register_pillow_plugin()
    with Image.open(arguments.picture) as picture:
        picture.save(arguments.coded, quality=60)  # or bpp=0.5, target_size=20_000, psnr=34
    with Image.open(arguments.coded) as coded:
        # So far only the beginning of the file was read.
        print(f"{coded.format}, {coded.width}x{coded.height}, quality {coded.info['vqc_quality']:.0f}")
        small = coded.convert("RGB").resize((-(-coded.width // 2), -(-coded.height // 2)))
    small.save(arguments.coded.with_suffix(".half.png"))


if __name__ == "__main__":
    try:
        main()
    except (vqcodec.errors.VQCodecError, OSError, ValueError) as error:
        sys.exit(str(error))
