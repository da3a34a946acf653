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
