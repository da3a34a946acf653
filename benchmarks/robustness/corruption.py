"""Whether damage is found: `python -m benchmarks.robustness.corruption [--damages 10000] [--model NAME]`.

    bits         every bit of a small file flipped alone
    ends         a file cut at every length: Truncated, and with allow_partial exactly the part that arrived
    damages      bytes changed, cut, doubled, swapped in real files

All must give an error that the format knows, and never a picture.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.robustness import samples
from benchmarks.robustness.damages import DAMAGES, damaged
from vqcodec.bitstream import Container, parse, probe
from vqcodec.codec import Codec
from vqcodec.errors import FormatError, ModelMismatch, Truncated
from vqcodec.image.extremes import snapped
from vqcodec.image.webp import read_webp
from vqcodec.tiling import pixel_tiles

Counts = collections.Counter[str]


def outcome(codec: Codec, data: bytes) -> str:
    """The error that a decode ends with, or "a picture"."""
    try:
        codec.decompress(data)
    except (FormatError, ModelMismatch) as error:
        return type(error).__name__
    return "a picture"


def bits(codec: Codec, files: Iterable[bytes]) -> Counts:
    """Flip every bit of small files."""
    counts = Counts()
    for data in files:
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            counts[outcome(codec, bytes(changed))] += 1
    return counts


def ends(codec: Codec, files: Iterable[bytes]) -> Counts:
    """Cut files at every length; counts what a decode gives, and "wrong part" where it is another picture
    than the segments make that arrived whole.
    """
    counts = Counts()
    for data in files:
        front, previous = probe(data).data_offset, (-1, np.zeros(0, np.uint8))
        for length in range(len(data)):
            part = data[:length]
            counts[outcome(codec, part)] += 1
            try:
                image = codec.decompress(part, allow_partial=True)
            except Truncated:
                counts["no part" if length < front else "wrong part"] += 1
                continue
            found = parse(part, allow_partial=True)
            arrived = sum(s is not None for layers in (found.drawn, *found.segments) for s in layers)
            pixels = np.asarray(image)
            if arrived != previous[0]:
                previous = arrived, _expected(codec, found)
            same = np.array_equal(pixels, previous[1]) and image.info["vqc_complete"] is False
            counts["its part" if same and length >= front else "wrong part"] += 1
    return counts


def _expected(codec: Codec, found: Container) -> samples.Pixels:
    """Pixels of the segments that arrived, in a file without alpha."""
    header, pixels = found.header, np.zeros((found.header.height, found.header.width, 3), np.uint8)
    if not all(found.drawn_whole):
        place = {"width": header.width, "height": header.height, "level": header.level, "tile": header.tile}
        alone = zip(found.drawn_whole, found.segments, strict=True)
        segments = [(None, None) if whole else layers for whole, layers in alone]
        pixels = snapped(codec.tuned(header.tune).decode(segments, **place), header.ignorable).copy()
    places = pixel_tiles(header.width, header.height, header.tile)
    for place_, segment, whole in zip(places, found.drawn, found.drawn_whole, strict=False):
        if segment:
            drawn, mask = read_webp(segment)
            pixels[place_] = drawn if mask is None else np.where(mask[:, :, None], drawn, pixels[place_])
        elif whole:
            pixels[place_] = 128
    gray = header.gray and not header.neutral
    return ((pixels.astype(int).sum(2) + 1) // 3).astype(np.uint8) if gray else pixels


def damages(codec: Codec, files: Sequence[bytes], count: int, seed: int) -> dict[str, Counts]:
    """Damage files at random, all kinds alike."""
    source, found = random.Random(seed), {kind: Counts() for kind in DAMAGES}
    for number in range(count):
        kind, data = tuple(DAMAGES)[number % len(DAMAGES)], source.choice(files)
        while (changed := damaged(data, source, kind)) == data:
            pass
        found[kind][outcome(codec, changed)] += 1
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.corruption", description=__doc__)
    parser.add_argument("--damages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", help="files of an installed model, too: its name")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    codec = samples.load()
    made = samples.seeds(codec)
    opaque = [data for data in made.values() if not parse(data).header.alpha]
    rows: dict[str, Counts] = {
        "bits": bits(codec, [made["dot"], made["RGBA2"]]),
        "ends": ends(codec, opaque),
    }
    rows |= damages(codec, list(made.values()), options.damages, options.seed)
    if options.model:
        larger = samples.load(options.model)
        files = [sample.compress(larger) for sample in samples.fresh(12, seed=options.seed)]
        rows |= {
            f"{options.model}, {kind}": counts
            for kind, counts in damages(larger, files, options.damages, options.seed).items()
        }
    print(json.dumps(rows) if options.json else table(rows))
    sys.exit(1 if any(counts["a picture"] or counts["wrong part"] for counts in rows.values()) else 0)


def table(rows: dict[str, Any]) -> str:
    """A line for each row: its name, and how often each outcome came."""
    return "\n".join(
        f"{name:28} {sum(counts.values()):7}  "
        + ", ".join(f"{n} {what}" for what, n in sorted(counts.items(), key=lambda entry: -entry[1]))
        for name, counts in rows.items()
    )


if __name__ == "__main__":
    main()
