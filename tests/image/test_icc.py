"""Curves of a profile, as its bytes tell them."""

from __future__ import annotations

import numpy as np

from tests.image.icc_profiles import gray, para, table
from vqcodec.image.icc import read


def test_parametric_curves_of_every_type():
    samples = np.arange(256) / 255
    for tag, expected in (
        (para(0, 2.0), samples**2),
        (para(1, 2.0, 0.75, -0.25), np.maximum(0.75 * samples - 0.25, 0) ** 2),
        (para(2, 2.0, 0.75, -0.25, 0.125), np.maximum(0.75 * samples - 0.25, 0) ** 2 + 0.125),
        (
            para(3, 2.0, 0.75, 0.25, 0.5, 0.5),
            np.where(samples < 0.5, samples / 2, (0.75 * samples + 0.25) ** 2),
        ),
        (
            para(4, 2.0, 0.75, 0.125, 0.5, 0.5, 0.0625, 0.03125),
            np.where(samples < 0.5, samples / 2 + 0.03125, (0.75 * samples + 0.125) ** 2 + 0.0625),
        ),
        (para(2, 2.0, 1.0, 0.0, 0.5), np.minimum(samples**2 + 0.5, 1)),
        (table(np.array([0.0, 0.25, 1.0])), np.interp(samples, [0, 0.5, 1], [0, 0.25, 1])),
        (b"curv" + bytes(8), samples),
    ):
        meaning = read(gray(tag))
        assert meaning is not None
        assert meaning.colorants is None
        assert np.abs(meaning.curves - expected).max() < 1e-5
