"""Figures of likeness beside PSNR, by the packages that the results of others are taken with."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from benchmarks.anchors import Pixels

SMALLEST = 176
"""Shortest side that MS-SSIM, which halves a picture four times, can take."""


def ms_ssim(original: Pixels, decoded: Pixels) -> float:
    """Multi-scale structural similarity by pytorch-msssim, RGB, range 255; 1 for equal pictures.

    Raises:
        ValueError: a side is shorter than `SMALLEST`.
    """
    import torch  # noqa: PLC0415  the other codecs must be measurable without it
    from pytorch_msssim import ms_ssim as measure  # noqa: PLC0415  an extra

    if min(original.shape[:2]) < SMALLEST:
        raise ValueError(f"MS-SSIM needs sides of {SMALLEST} pixels or more")
    tensors = (torch.from_numpy(p.astype(np.float32)).permute(2, 0, 1)[None] for p in (original, decoded))
    return float(measure(*tensors, data_range=255))


def ssimulacra2(original: Pixels, decoded: Pixels) -> float:
    """SSIMULACRA2: 90 and more cannot be told apart, 70 is high quality, 30 low, below 0 very poor."""
    from ssimulacra2 import compute_ssimulacra2  # noqa: PLC0415  an extra

    return float(compute_ssimulacra2(*map(_as_file, (original, decoded))))


def _as_file(pixels: Pixels) -> io.BytesIO:
    # The package reads files only; PPM costs next to nothing.
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PPM")
    file.seek(0)
    return file
