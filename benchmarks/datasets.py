"""Fetch the pictures that figures are reported on: `python -m benchmarks.datasets kodak --out kodak/`.

The Kodak suite, 24 photographs released for unrestricted use, comes from its usual address; every file must
have the SHA-256 sum in `benchmarks/kodak.sha256`, in which `sha256sum -c` can read too. Files that are there
and right are left alone, so the command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from vqcodec.files import write_atomic

ADDRESS = "http://r0k.us/graphics/kodak/kodak/"
SUMS = Path(__file__).with_name("kodak.sha256")
TIMEOUT = 30.0
LIMIT = 10_000_000
"""Bytes; the largest of the pictures has 823 thousand."""


class DatasetError(Exception):
    """Pictures that could not be fetched, with the reason for people."""


def known_sums(path: Path = SUMS) -> dict[str, str]:
    """SHA-256 sums by file name, from a file as `sha256sum` writes it."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def download(address: str) -> bytes:
    """The file at an address.

    Raises:
        DatasetError: it cannot be had.
    """
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            return bytes(answer.read(LIMIT))
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        advice = "without a network, copy the pictures into a folder by other means"
        raise DatasetError(f"cannot fetch {address}: {reason}; {advice}") from error


def fetch(
    folder: Path, sums: dict[str, str], get: Callable[[str], bytes] = download, address: str = ADDRESS
) -> list[str]:
    """Complete a folder; returns the names of the files that were fetched.

    Raises:
        DatasetError: a file cannot be had, or what comes is not what `sums` wants; nothing of it is kept.
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    for name, wanted in sums.items():
        path = folder / name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            continue
        if sys.stderr.isatty():
            print(f"\r{name}", end="", file=sys.stderr, flush=True)
        data = get(address + name)
        found = hashlib.sha256(data).hexdigest()
        if found != wanted:
            raise DatasetError(f"{address}{name} is another file than expected (SHA-256 {found})")
        write_atomic(path, data)
        fetched.append(name)
    return fetched


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch and verify; returns the exit status."""
    parser = argparse.ArgumentParser(prog="datasets", description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", choices=("kodak",))
    parser.add_argument("--out", type=Path, default=Path("kodak"), metavar="DIR")
    args = parser.parse_args(argv)
    try:
        sums = known_sums()
        fetched = fetch(args.out, sums)
    except (DatasetError, OSError) as error:
        print(f"datasets: {error}", file=sys.stderr)
        return 1
    print(f"{len(sums)} pictures in {args.out}, {len(fetched)} fetched now, all with the known sums")
    return 0


if __name__ == "__main__":
    sys.exit(main())
