"""A third set of pictures, on which nothing was trained, tuned or chosen: photographs of a Debian package.

`budgie-backgrounds` 3.0 (CC0; in Debian 13 and newer) has JPEG files of 3840x2160 or 3840x2560 pixels. Each
pixel here is the mean of 5x5 of theirs, which leaves next to nothing of JPEG's errors: 768x432 or 768x512.
The package's paintings and drawings, and a mostly black Saturn, are left out.

    apt-get install budgie-backgrounds
    python -m benchmarks.photographs --out budgie/

Elsewhere `dpkg -x budgie-backgrounds_3.0-1_all.deb FOLDER` unpacks it, and --source says where to.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks.datasets import DatasetError, known_sums
from vqcodec.files import write_atomic

SOURCE = Path("/usr/share/backgrounds/budgie")
SUMS = Path(__file__).with_name("budgie.sha256")
"""Of the package's own files."""
FACTOR = 5


def make(source: Path, target: Path, sums: dict[str, str]) -> list[Path]:
    """Reduce the pictures of `source` that `sums` names; returns the PNG files in `target`.

    Raises:
        DatasetError: a picture is not there, or is another one.
        OSError: a file cannot be written.
    """
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, wanted in sums.items():
        try:
            data = (source / name).read_bytes()
        except FileNotFoundError as error:
            raise DatasetError(
                f"no {name} in {source}: apt-get install budgie-backgrounds, or --source"
            ) from error
        if hashlib.sha256(data).hexdigest() != wanted:
            raise DatasetError(f"{source / name} is another file than expected")
        with Image.open(io.BytesIO(data)) as image:
            file = io.BytesIO()
            image.convert("RGB").reduce(FACTOR).save(file, "PNG")
        paths.append(target / f"{Path(name).stem}.png")
        write_atomic(paths[-1], file.getvalue())
    return paths


def main(argv: Sequence[str] | None = None) -> int:
    """Make the folder; returns the exit status."""
    parser = argparse.ArgumentParser(prog="photographs", description=(__doc__ or "").split(":", 1)[0])
    parser.add_argument("--source", type=Path, default=SOURCE, metavar="DIR", help=f"default: {SOURCE}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    args = parser.parse_args(argv)
    try:
        paths = make(args.source, args.out, known_sums(SUMS))
    except (DatasetError, OSError) as error:
        print(f"photographs: {error}", file=sys.stderr)
        return 1
    print(f"{len(paths)} pictures in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
