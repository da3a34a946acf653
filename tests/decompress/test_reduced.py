"""Reduced pictures: means of what the linear shortcut gives, whatever the windows and tiles."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tiny import picture
from vqcodec.bitstream import parse
from vqcodec.decompress import reduced as module
from vqcodec.decompress.reduced import FACTORS, reduced
from vqcodec.engine.restoration import OPPONENT_REAL

WIDTH, HEIGHT = 200, 130


@pytest.fixture(scope="module", params=[0, 64])
def parts(request, tiny_codec):
    """Segments and geometry of a picture, whole or in tiles."""
    container = parse(tiny_codec.compress(picture(HEIGHT, WIDTH, seed=3), tile=request.param, quality=60))
    header = container.header
    return container.segments, {
        "width": header.width,
        "height": header.height,
        "level": header.level,
        "tile": header.tile,
    }


@pytest.mark.parametrize("factor", FACTORS)
def test_squares_of_the_linear_half_are_averaged(tiny_codec, parts, factor, monkeypatch):
    segments, geometry = parts
    model, decoder = tiny_codec.model, tiny_codec.decoder
    latent = decoder.latent(segments, **geometry)
    u = model.g_s.shortcut(latent.astype(np.float32), geometry["level"]).astype(np.float64)
    gray = model.g_s(np.zeros((5, 5, latent.shape[2]), np.float32), geometry["level"])[32:48, 32:48]
    rgb = u @ OPPONENT_REAL * 255 + gray.mean((0, 1))
    rows, columns = -(-HEIGHT // factor), -(-WIDTH // factor)
    means = rgb.reshape(rgb.shape[0] // factor, factor, -1, factor, 3).mean((1, 3))[:rows, :columns]
    wanted = means.clip(0, 255)
    for side in (64, 3):  # windows, too
        monkeypatch.setattr(module, "SIDE", side)
        found = reduced(model.coder, model.g_s, segments, factor, **geometry)
        assert found.shape == (rows, columns, 3)
        assert np.abs(found - wanted).max() < 0.51


def test_other_factors_are_refused(tiny_codec, parts):
    segments, geometry = parts
    model = tiny_codec.model
    for factor in (1, 3, 32):
        with pytest.raises(ValueError, match="factor must be one of"):
            reduced(model.coder, model.g_s, segments, factor, **geometry)
