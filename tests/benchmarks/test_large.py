"""The benchmark of big pictures, on small ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture


@pytest.fixture
def large(bench):
    return bench("large")


def test_a_picture_is_mirrored_without_seams(large):
    pixels = picture(20, 30)
    big = large.enlarge(pixels, 70)
    assert big.shape == (70, 70, 3)
    assert np.array_equal(big[:20, :30], pixels)
    assert np.array_equal(big[:20, 30:60], pixels[:, ::-1])
    assert np.array_equal(big[20:40, :30], pixels[::-1])
    assert np.array_equal(big[40:60, 60:], pixels[:, :10])


@pytest.mark.slow
def test_time_and_memory_of_each_size(large, tmp_path, tiny_weights, capsys):
    Image.fromarray(picture(96, 128)).save(tmp_path / "x.png")
    words = ["--image", str(tmp_path / "x.png"), "--megapixels", "0.01", "0.04", "--model", str(tiny_weights)]
    assert large.main([*words, "--tile", "64", "--out", str(tmp_path / "large.json")]) == 0
    result = json.loads((tmp_path / "large.json").read_text())
    assert [entry["side"] for entry in result["sizes"]] == [100, 200]
    for entry in result["sizes"]:
        assert min(entry["compress_s"], entry["decompress_s"], entry["bpp"]) > 0
        assert 20 < entry["decompress_mib"] < 2000
    assert "| 0.04 |" in capsys.readouterr().out
