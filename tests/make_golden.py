"""Golden files: `python -m tests.make_golden FOLDER` writes a new set, which is then never changed.

    tiny.safetensors      weights of a tiny trained model
    NAME.vqc              a compressed picture
    NAME.indices.npy      uint8, all symbols, certain ones too, in the order of reading
    NAME.latent.npy       int32 (h, w, M), the latent in steps of 1/128; like the indices, empty where
                          all is drawn
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

import vqcodec
from vqcodec.bitstream import parse, write
from vqcodec.bitstream.drawn import NO_MODEL, pad_drawn
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.entropy.table_set import TableSet
from vqcodec.image.webp import lossy_webp
from vqcodec.types import Header

WEIGHTS = "tiny.safetensors"
SUMS = "SHA256SUMS"
PICTURES = {
    "tiles": (190, 250, 95.0, 64),
    "whole": (147, 61, 100.0, 0),
    "coarse": (90, 150, 0.0, 128),
    "dot": (1, 1, 50.0, 64),
}
"""Name -> height, width, quality and tile."""
DRAWINGS = {"text": ("page", 60.0, 0), "beside": ("mixed", 60.0, 64)}
"""Name -> what draws it in `tests.drawings`, quality and tile: with a drawn layer, alone or over networks."""
LOSSY = "lossy"
"""One more, with a tile of lossy WebP."""


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
    pixels = np.asarray(codec.decompress(data))
    whole = container.drawn_whole
    if all(whole):
        return np.zeros(0, np.uint8), np.zeros(0, np.int32), pixels
    segments = [None if alone else layers for alone, layers in zip(whole, container.segments, strict=True)]
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
        latent = codec.decoder.latent(segments, **where)
    return np.concatenate(symbols).astype(np.uint8), latent, pixels


def check(folder: Path, out: Path) -> None:
    """Decode every file of a set; writes one .npz of indices, latents and pixels to `out`."""
    codec = vqcodec.load(folder / WEIGHTS, device="cpu")
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
    codec = tiny.load_codec(folder / WEIGHTS)
    for seed, (name, (height, width, quality, tile)) in enumerate(PICTURES.items()):
        x = tiny.picture(height, width, seed + 50)
        _save(folder, name, codec, codec.compress(x, quality=quality, tile=tile, drawn=False))
    make_drawn(folder)


def make_drawn(folder: Path) -> None:
    """Add those with a drawn layer to a set."""
    from tests import drawings, tiny  # noqa: PLC0415  checking draws nothing

    codec = tiny.load_codec(folder / WEIGHTS)
    pictures = {"page": drawings.page(48, 96), "mixed": drawings.mixed(96, 128)[0]}
    for name, (kind, quality, tile) in DRAWINGS.items():
        _save(folder, name, codec, codec.compress(pictures[kind], quality=quality, tile=tile))
    header = Header(67, 41, 100, NO_MODEL, tile=0, drawn=True)
    segment = pad_drawn(lossy_webp(tiny.picture(41, 67, seed=7), 60))
    _save(folder, LOSSY, codec, write(header, [[b"", b""]], [], [segment]))
    files = sorted(p for p in folder.iterdir() if p.name != SUMS)
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    (folder / SUMS).write_text("".join(sums), encoding="ascii", newline="\n")


def _save(folder: Path, name: str, codec: Codec, data: bytes) -> None:
    (folder / f"{name}.vqc").write_bytes(data)
    indices, latent, pixels = decode(codec, data)
    np.save(folder / f"{name}.indices.npy", indices)
    np.save(folder / f"{name}.latent.npy", latent.astype(np.int32))
    np.save(folder / f"{name}.pixels.npy", pixels)


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
