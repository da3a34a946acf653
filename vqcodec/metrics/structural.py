"""MS-SSIM of two pictures, for `vqcodec compress --compare`.

Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment" (2003):

    MS-SSIM = mean(l_5 cs_5)^w_5 x product over scales j = 1..4 of mean(cs_j)^w_j
    l  = (2 m_x m_y + C1) / (m_x^2 + m_y^2 + C1)    cs = (2 v_xy + C2) / (v_x + v_y + C2)

with means m and (co)variances v under an 11x11 Gaussian window of sigma 1.5 where it fits whole,
C = (K 255)^2 for K = 0.01 and 0.03, and scales halved by 2x2 means; the mean over the three channels, as
pytorch-msssim computes it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SMALLEST = _WINDOW * 2 ** (len(_WEIGHTS) - 1)
"""Shortest side that has room for the window at the coarsest scale, in pixels."""


@torch.inference_mode()
def ms_ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Multi-scale structural similarity of two uint8 pictures (H, W, 3); 1 when they are equal.

    Raises:
        ValueError: the shapes differ, or a side is shorter than `SMALLEST`.
    """
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"ms_ssim wants pictures of one shape (H, W, C), not {a.shape} and {b.shape}")
    if min(a.shape[:2]) < SMALLEST:
        raise ValueError(f"ms_ssim needs sides of {SMALLEST} pixels or more, not {a.shape[1]}x{a.shape[0]}")
    # Channel by channel: a third of the memory.
    values = [_of_channel(a[:, :, c], b[:, :, c]) for c in range(a.shape[2])]
    return sum(values) / len(values)


def _of_channel(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    x, y = (torch.from_numpy(plane.astype(np.float32))[None, None] for plane in (a, b))
    result = 1.0
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            # An odd row or column is averaged with zeros, as in other implementations.
            padding = (x.shape[2] % 2, x.shape[3] % 2)
            x, y = (F.avg_pool2d(plane, 2, padding=padding) for plane in (x, y))
        luminance, contrast = _factors(x, y)
        last = scale == len(_WEIGHTS) - 1
        mean = float((luminance * contrast if last else contrast).mean())
        result *= max(mean, 0.0) ** weight
    return result


def _factors(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of SSIM's two factors: l of the means, cs of contrast and structure."""
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x * mean_x
    variance_y = _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return luminance, (2 * covariance + _C2) / (variance_x + variance_y + _C2)


def _blur(x: Tensor) -> Tensor:
    """Weighted means under a Gaussian window, where it fits whole."""
    offset = torch.arange(_WINDOW, dtype=torch.float32) - _WINDOW // 2
    window = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    window /= window.sum()
    return F.conv2d(F.conv2d(x, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
