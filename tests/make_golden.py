"""Golden files: `python -m tests.make_golden FOLDER` writes a new set, which is then never changed.

    tiny.safetensors      weights of a tiny trained model
    NAME.vqc              a compressed picture
    NAME.indices.npy      uint8, all symbols, certain ones too, in the order of reading
    NAME.latent.npy       int32 (h, w, M), the latent in steps of 1/128
    NAME.pixels.npy       uint8 (H, W, 3), what the machine that wrote the set decoded
    SHA256SUMS            of all of them

`python -m tests.make_golden FOLDER --check OUT` decodes a set and writes what it got to OUT;
tests/test_exactness.py does the same under many settings.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from tests.tiny import load_codec
from vqcodec.bitstream import parse
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.entropy.table_set import TableSet

WEIGHTS = "tiny.safetensors"
SUMS = "SHA256SUMS"
PICTURES = {
    "tiles": (190, 250, 95.0, 64),
    "whole": (147, 61, 100.0, 0),
    "coarse": (90, 150, 0.0, 128),
    "dot": (1, 1, 50.0, 64),
}
"""Name -> height, width, quality and tile."""


def decode(codec: Codec, data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """Indices, latent and pixels of a .vqc file."""
    container = parse(data)
    header = container.header
    where: dict[str, Any] = {
        "width": header.width,
        "height": header.height,
        "level": header.level,
        "tile": header.tile,
    }
    symbols: list[NDArray[Any]] = []
    read = SegmentReader.read

    def recorded(
        self: SegmentReader, classes: NDArray[Any], models: TableSet, moves: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        found = read(self, classes, models, moves)
        # Group by group.
        symbols.append(np.moveaxis(found, -1, 0).reshape(-1) if found.ndim > 1 else found)
        return found

    with patch.object(SegmentReader, "read", recorded):
        latent = codec.decoder.latent(container.segments, **where)
    return np.concatenate(symbols).astype(np.uint8), latent, codec.decode(container.segments, **where)


def check(folder: Path, out: Path) -> None:
    """Decode every file of a set; writes one .npz of indices, latents and pixels to `out`."""
    codec = load_codec(folder / WEIGHTS)
    results: dict[str, NDArray[Any]] = {}
    for path in sorted(folder.glob("*.vqc")):
        indices, latent, pixels = decode(codec, path.read_bytes())
        results[f"{path.stem}.indices"] = indices
        results[f"{path.stem}.latent"] = latent
        results[f"{path.stem}.pixels"] = pixels
    # numpy's stubs want every keyword to fit allow_pickle.
    np.savez(out, **results)  # type: ignore[arg-type]


def make(folder: Path) -> None:
    """Write a new set."""
    from tests import tiny  # noqa: PLC0415  checking needs no training

    folder.mkdir(parents=True)
    model = tiny.tiny_model(60)
    # A prior that has learnt little adds up little; large weights make every sum count.
    tiny.random_prior_(model, seed=3, spread=0.5)
    tiny.open_restoration_(model, seed=4, spread=0.2)
    tiny.write_tiny(folder / WEIGHTS, model)
    codec = load_codec(folder / WEIGHTS)
    for seed, (name, (height, width, quality, tile)) in enumerate(PICTURES.items()):
        data = codec.compress(tiny.picture(height, width, seed + 50), quality=quality, tile=tile)
        (folder / f"{name}.vqc").write_bytes(data)
        indices, latent, pixels = decode(codec, data)
        np.save(folder / f"{name}.indices.npy", indices)
        np.save(folder / f"{name}.latent.npy", latent.astype(np.int32))
        np.save(folder / f"{name}.pixels.npy", pixels)
    files = sorted(p for p in folder.iterdir() if p.name != SUMS)
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    (folder / SUMS).write_text("".join(sums), encoding="ascii", newline="\n")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.make_golden", description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder, beside the released versions' sets")
    parser.add_argument("--check", type=Path, metavar="OUT", help="decode the set instead")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.folder, arguments.check)
    elif arguments.folder.exists():
        parser.error(f"{arguments.folder} exists; golden files are never rewritten")
    else:
        make(arguments.folder)


if __name__ == "__main__":
    main()
