"""Compress a folder of pictures in several processes: `python examples/compress_folder.py PHOTOS CODED`.

A file that fails does not stop the others; the report says what became of each.
"""

from __future__ import annotations

import argparse
import sys

import vqcodec


def main() -> int:
    """Entry point; returns the exit status, 1 if a file failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", help="folder of pictures, searched through")
    parser.add_argument("coded", help="folder for the .vqc files, laid out like the first one")
    parser.add_argument("--quality", type=float, default=60, help="0 to 100")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes, 0: one for each core")
    arguments = parser.parse_args()
    report = vqcodec.compress_batch(
        [arguments.photos],
        arguments.coded,
        jobs=arguments.jobs,
        skip_existing=True,
        quality=arguments.quality,
    )
    print(report)
    return 1 if report.failed else 0


if __name__ == "__main__":  # worker processes import this script
    try:
        sys.exit(main())
    except (vqcodec.errors.VQCodecError, OSError, ValueError) as error:
        sys.exit(str(error))
