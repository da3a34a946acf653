"""MS-SSIM against pytorch-msssim, which other people's tables are made with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import picture
from vqcodec.metrics.structural import SMALLEST, ms_ssim


@pytest.mark.parametrize(("height", "width"), [(SMALLEST, SMALLEST), (211, 301), (256, 192)])
def test_as_pytorch_msssim(height, width):
    reference = pytest.importorskip("pytorch_msssim")
    original = picture(height, width)
    noise = np.random.default_rng(0).normal(0, 20, original.shape)
    for other in ((original + noise).clip(0, 255).astype(np.uint8), 255 - original, np.roll(original, 3, 1)):
        a, b = (torch.from_numpy(p.astype(np.float32)).permute(2, 0, 1)[None] for p in (original, other))
        expected = float(reference.ms_ssim(a, b, data_range=255))
        assert ms_ssim(original, other) == pytest.approx(expected, abs=1e-5)


def test_equal_pictures_and_unusable_ones():
    original = picture(SMALLEST, SMALLEST)
    assert ms_ssim(original, original) == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(ValueError, match="sides of 176"):
        ms_ssim(original[1:], original[1:])
    with pytest.raises(ValueError, match="one shape"):
        ms_ssim(original, original[:, 1:])
