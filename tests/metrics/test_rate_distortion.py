"""MSE, PSNR and bpp against values derived by hand."""

import math

import numpy as np
import pytest

from vqcodec.metrics.rate_distortion import bpp, mse, psnr


def test_mse_and_psnr_by_hand() -> None:
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = (3, 0, 4)  # squares 9 + 16 over 12 values
    assert mse(a, b) == 25 / 12
    assert psnr(a, b) == pytest.approx(10 * math.log10(65025 * 12 / 25))
    assert psnr(a, a + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(a, a) == math.inf
    assert mse(a + 7, b + 7) == 25 / 12
    assert psnr(a + 9, a + 9) == math.inf


def test_the_largest_error_does_not_wrap_around() -> None:
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert mse(black, white) == mse(white, black) == 65025
    assert psnr(black, white) == 0.0


def test_wrong_arrays_are_refused() -> None:
    a = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(TypeError, match="uint8"):
        psnr(a, a.astype(np.float32))
    with pytest.raises(ValueError, match="one shape"):
        mse(a, a[:1])
    with pytest.raises(ValueError, match=r"^mse of empty arrays is undefined$"):
        mse(a[:0], a[:0])


def test_bpp_counts_bits_of_the_whole_file() -> None:
    assert bpp(49152, 768, 512) == 1.0
    assert bpp(0, 1, 1) == 0.0
    for size, width, height in ((1, 0, 1), (1, 1, 0), (1, 1, -1), (-1, 1, 1)):
        with pytest.raises(ValueError, match="no bpp"):
            bpp(size, width, height)
