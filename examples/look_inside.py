"""What a .vqc file is made of: `python examples/look_inside.py photo.vqc --map bits.png`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import vqcodec
from vqcodec.inspect import bit_heatmap, bit_report


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("coded", type=Path, help="a .vqc file of the packaged model")
    parser.add_argument("--map", type=Path, help="draw the bits of every 16x16 block to this picture")
    arguments = parser.parse_args()
    info = vqcodec.probe(arguments.coded)  # reads header and table of contents, without torch
    print(f"{info.width}x{info.height}, format {info.version}, level {info.level}, {info.tiles} tile(s)")
    print(f"the first {info.preview_bytes[0]} of {info.file_bytes} bytes hold the coarse layer")

    report, picture = bit_report.count_bits(vqcodec.load(), arguments.coded)
    for layer, (bits, size) in enumerate(report.layers):
        print(f"layer {layer}: {size} bytes, {100 * bits / report.bits:.1f} % of the bits")
    for band in report.bands:
        share = 100 * band.bits / report.bits
        print(f"band {band.name}: {band.groups} groups of {band.size} channels, {share:.1f} % of the bits")
    print(f"container: {report.overhead_bytes} bytes")
    if arguments.map:
        bit_heatmap.draw_bits(report, picture).image.save(arguments.map)


if __name__ == "__main__":
    try:
        main()
    except (vqcodec.errors.VQCodecError, OSError, ValueError) as error:
        sys.exit(str(error))
