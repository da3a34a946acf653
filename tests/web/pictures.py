"""What the browser's decoder should give: Python's pixels, as ImageData has them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.robustness import samples
from vqcodec.codec import Codec


def rgba(image: Image.Image) -> bytes:
    return np.asarray(image.convert("RGBA")).tobytes()


def expected(codec: Codec, data: bytes, **options: Any) -> dict[str, Any]:
    """Size and hash of what Python decodes."""
    image = codec.decompress(io.BytesIO(data), **options)
    digest = hashlib.sha256(rgba(image)).hexdigest()
    return {"width": image.width, "height": image.height, "sha256": digest}


def random_files(codec: Codec, count: int = 50) -> dict[str, bytes]:
    """Pictures of many sizes, modes, qualities, tile settings and both tunes, some with a drawn layer."""
    return {sample.name: sample.compress(codec) for sample in samples.fresh(count, seed=29)}


def same_on_canvas(pixels: np.ndarray, image: Image.Image) -> bool:
    """Whether a canvas (H, W, 4) shows a picture: its alpha, and its colours where they are opaque.

    A canvas multiplies colours by their alpha, and so loses some of the others.
    """
    wanted = np.asarray(image.convert("RGBA"))
    opaque = wanted[:, :, 3] == 255
    return np.array_equal(pixels[opaque], wanted[opaque]) and np.array_equal(pixels[:, :, 3], wanted[:, :, 3])


def put(site: Path, files: dict[str, bytes]) -> list[str]:
    """Files where the page can fetch them; their names."""
    for name, data in files.items():
        (site / f"{name}.vqc").write_bytes(data)
    return [f"/{name}.vqc" for name in files]


LAB = {
    (0, 0, 0): (0, 0, 0),
    (1, 0, 0): (54.3, 80.8, 69.9),
    (0, 1, 0): (87.8, -79.3, 81.0),
    (0, 0, 1): (29.6, 68.3, -112.0),
    (0, 1, 1): (90.7, -50.7, -15.0),
    (1, 0, 1): (60.2, 93.6, -60.5),
    (1, 1, 0): (97.6, -15.8, 93.4),
    (1, 1, 1): (100, 0, 0),
}
"""The corners of sRGB in CIE L*a*b* under D50."""


def table_profile() -> bytes:
    """An ICC profile of tables alone, by which red samples are blue, and blue ones red."""
    corners = [LAB[blue, green, red] for red in (0, 1) for green in (0, 1) for blue in (0, 1)]
    table = bytes(round(n) for light, a, b in corners for n in (light * 2.55, a + 128, b + 128))
    identity = b"".join(int(65536 * (i % 4 == 0)).to_bytes(4, "big") for i in range(9))
    ramps = bytes(range(256)) * 3
    lut = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + identity + ramps + table + ramps
    tags = (1).to_bytes(4, "big") + b"A2B0" + (144).to_bytes(4, "big") + len(lut).to_bytes(4, "big")
    white = bytes.fromhex("0000f6d6000100000000d32d")
    head = bytes(4) + bytes.fromhex("02100000") + b"mntrRGB Lab " + bytes(12) + b"acsp" + bytes(28) + white
    body = head.ljust(124, b"\0") + tags + lut
    return (4 + len(body)).to_bytes(4, "big") + body
