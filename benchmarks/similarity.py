"""Figures of likeness beside PSNR: MS-SSIM by the package that others use, SSIMULACRA2 as of libjxl."""

from __future__ import annotations

import numpy as np

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
    """SSIMULACRA2: 90 and more cannot be told apart, 70 is high quality, 30 low, below 0 very poor.

    Raises:
        ValueError: a side is shorter than 8 pixels.
    """
    import torch  # noqa: PLC0415  as above

    from vqcodec.metrics.ssimulacra2 import SMALLEST, score, weighted_error  # noqa: PLC0415  with torch

    if min(original.shape[:2]) < SMALLEST:
        raise ValueError(f"SSIMULACRA2 needs sides of {SMALLEST} pixels or more")
    if np.array_equal(original, decoded):
        return 100.0  # the error keeps a tiny number below its roots
    first, second = (
        torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (original, decoded)
    )
    with torch.no_grad():  # not inference_mode: the blur's matrices are kept for training in this process
        return float(score(weighted_error(first, second)))
