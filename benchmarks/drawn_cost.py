"""What the search for drawn parts costs photographs: processor time of an encode with it and without.

    python -m benchmarks.drawn_cost --data kodak/

Each picture is coded with and without it in turn; of each the least time counts, so that other processes on
the machine matter little. The files must be equal byte by byte.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import vqcodec
from benchmarks.rate_distortion import find_pictures, read_pixels
from vqcodec import Codec
from vqcodec.errors import VQCodecError

MOST = 1.05
"""A mean ratio of times above this is a fault."""


def measure(codec: Codec, path: Path, quality: float, repeats: int) -> tuple[float, float, bool]:
    """Least seconds of processor time with the search and without, and whether the files are equal."""
    pixels = read_pixels(path)
    times: dict[bool, list[float]] = {True: [], False: []}
    files: dict[bool, bytes] = {}
    for turn in range(2 * repeats):
        drawn = turn % 2 == 0
        start = time.process_time()
        files[drawn] = codec.compress(pixels, quality=quality, drawn=drawn)
        times[drawn].append(time.process_time() - start)
    return min(times[True]), min(times[False]), files[True] == files[False]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 1 if files differ or it takes too long."""
    parser = argparse.ArgumentParser(prog="drawn_cost", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="photographs")
    parser.add_argument("--model", default="default", help="name or path of the weights")
    parser.add_argument("--quality", type=float, default=50.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        codec = vqcodec.load(args.model, device="cpu")
        paths = find_pictures(args.data)
    except (VQCodecError, OSError) as error:
        parser.error(str(error))
    found = {name: measure(codec, path, args.quality, args.repeats) for name, path in paths.items()}
    with_, without = (sum(times[side] for times in found.values()) for side in (0, 1))
    result = {
        "pictures": len(found),
        "quality": args.quality,
        "ms with": round(1000 * with_ / len(found), 2),
        "ms without": round(1000 * without / len(found), 2),
        "ratio": round(with_ / without, 4),
        "different": [name for name, (*_, equal) in found.items() if not equal],
    }
    print(
        json.dumps(result) if args.json else "\n".join(f"{key:12} {value}" for key, value in result.items())
    )
    return 1 if result["different"] or with_ > MOST * without else 0


if __name__ == "__main__":
    sys.exit(main())
