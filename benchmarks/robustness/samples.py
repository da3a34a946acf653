"""Files to try: the golden ones of the tests, and fresh ones of every kind that the format knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

import vqcodec
from vqcodec.bitstream import parse, write
from vqcodec.codec import Codec
from vqcodec.types import Chunk
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.writing import add_realism, save_weights

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
TINY = GOLDEN / "tiny.safetensors"
"""A tiny model, trained for a moment: a picture takes milliseconds."""
TABLES = ("modulation", "log_gain", "bias")
SIDES = (1, 7, 16, 17, 33, 64, 65, 100, 130)
TILES = (0, 64, 128)
KINDS = ("RGB", "L", "RGBA", "LA")

EXIF = b"II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0abc\0\0\0\0\0"
"""A block with one entry."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A picture and the options to compress it with."""

    name: str
    pixels: Pixels
    options: dict[str, Any]

    @property
    def image(self) -> Image.Image:
        """The picture as Pillow has it, with an EXIF block in every third."""
        image = Image.fromarray(self.pixels)
        if sum(map(ord, self.name)) % 3 == 0:
            image.info["exif"] = b"Exif\0\0" + EXIF
        return image

    def compress(self, codec: Codec) -> bytes:
        """The file it becomes."""
        return codec.compress(self.image, **self.options)


def golden() -> dict[str, bytes]:
    """The golden files, by name."""
    return {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.vqc"))}


def fresh(count: int, *, largest: int = 130, seed: int = 0, effort: int = 1) -> Iterator[Sample]:
    """Pictures of many sizes, modes, qualities, tile settings and both tunes; the same on every machine."""
    random = np.random.default_rng(seed)
    sides = [side for side in SIDES if side <= largest]
    for number in range(count):
        height, width = (int(random.choice(sides)) for _ in range(2))
        kind = KINDS[number % 4] if number % 8 < 4 else "RGB"
        options = {
            "quality": float(random.choice([0, 10, 30, 50, 75, 90, 100])),
            "tile": TILES[number % len(TILES)],
            "tune": ("eyes", "psnr")[number // 2 % 2],
            "label": number % 5 == 0,
            "effort": effort,
        }
        draw = drawing if number % 6 == 4 else picture
        yield Sample(f"{kind}{height}x{width}.{number}", draw(height, width, kind, random), options)


def picture(height: int, width: int, kind: str, random: np.random.Generator) -> Pixels:
    """Slopes, waves and a box: (height, width) or with the channels of a mode of Pillow's."""
    channels = len(kind)
    rows, columns = np.arange(height)[:, None, None] / 64, np.arange(width)[None, :, None] / 64
    slope, wave = random.uniform(-60, 60, (2, channels)), random.uniform(1, 12, 2)
    value = 128 + slope[0] * rows + slope[1] * columns + 30 * np.sin(wave[0] * rows + wave[1] * columns)
    top, left = random.integers(height), random.integers(width)
    value[top : top + 20, left : left + 30] += random.uniform(-70, 70, channels)
    value = (value + random.normal(0, 2, value.shape)).clip(0, 255).astype(np.uint8)
    return value[:, :, 0] if channels == 1 else value


def drawing(height: int, width: int, kind: str, random: np.random.Generator) -> Pixels:
    """As `picture`, but lines and boxes in few colours without noise, as screens and pages have them."""
    value = np.full((height, width, len(kind)), 255, np.uint8)
    for _ in range(max(2, height * width // 400)):
        top, left = random.integers(height), random.integers(width)
        tall, wide = random.permutation([random.integers(1, 4), random.integers(1, 40)])
        value[top : top + tall, left : left + wide] = random.choice([0, 40, 200], len(kind))
    return value[:, :, 0] if len(kind) == 1 else value


def seeds(codec: Codec) -> dict[str, bytes]:
    """Small files for fuzzers: every kind of chunk, one tile and several, gray, alpha, both tunes."""
    random = np.random.default_rng(5)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = golden()
    for number, (kind, height, width, tile) in enumerate(
        [("RGB", 16, 16, 0), ("L", 20, 9, 0), ("RGBA", 17, 33, 0), ("LA", 3, 70, 64), ("RGB", 40, 66, 64)]
    ):
        image = Image.fromarray(picture(height, width, kind, random))
        image.info["xmp"] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
        if number == 2:
            image.info["icc_profile"] = profile
        options: dict[str, Any] = {"quality": 25.0 * number, "tile": tile}
        options["tune"] = ("eyes", "psnr")[number % 2]
        found[f"{kind}{number}"] = codec.compress(image, label=number % 2 == 0, **options)
    # One lossless tile, whose alpha is a chunk.
    found["bare"] = codec.compress(Image.fromarray(drawing(17, 33, "RGBA", random)), lossless=True)
    found["stored"] = _stored(found["RGB0"], {"iCCP": profile, "eXIF": EXIF})
    return found


def _stored(data: bytes, blocks: dict[str, bytes]) -> bytes:
    """A file with blocks that are not deflated, so that damage comes to what reads them."""
    container = parse(data)
    segments = [[s for s in layers if s is not None] for layers in container.segments]
    chunks = [Chunk(kind, b"\0" + block) for kind, block in blocks.items()]
    return write(container.header, segments, chunks)


def load(path: str | Path = TINY) -> Codec:
    """A codec on the CPU."""
    return vqcodec.load(path, device="cpu")


def write_two_faced(path: Path) -> None:
    """Weights with two tunes and a perceptual decoder, both only for show, made of the tiny model's."""
    weights = load_weights(TINY)
    random = np.random.default_rng(3)

    def doubled(arrays: dict[str, NDArray[Any]], only: str = "") -> dict[str, NDArray[Any]]:
        # Another tune's tables: the same rows, last first.
        return {
            name: np.stack([a, a[::-1]]) if only in name and name.endswith(TABLES) and _is_table(a) else a
            for name, a in arrays.items()
        }

    transforms, coding = doubled(weights.transforms), doubled(weights.coding, "prior.")
    config = replace(weights.config, tunes=2)
    save_weights(path, config, transforms, coding, {"name": "two-faced"})
    decoder = {name: a for name, a in transforms.items() if name.startswith("g_s.")}
    for name, a in decoder.items():
        if a.dtype == np.int8:
            decoder[name] = np.where(random.random(a.shape) < 0.2, a // 2, a)
    add_realism(path, decoder, path)


def _is_table(array: NDArray[Any]) -> bool:
    return array.ndim == 2 and len(array) == 9
