"""--region: the pixels of a part are those of the whole, and only its tiles are decoded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture
from vqcodec.tiling import TRANSFORM_HALO
from vqcodec_cli.main import main

PARTS = [(0, 0, 1, 1), (0, 0, 300, 420), (17, 33, 100, 70), (299, 419, 1, 1), (140, 0, 64, 420)]
OUTSIDE = [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 301, 5), (0, 415, 5, 6), (300, 0, 1, 1)]


@pytest.fixture(scope="module")
def file(tiny_codec):
    return tiny_codec.compress(picture(420, 300, seed=6), tile=64, quality=60)


@pytest.fixture(scope="module")
def whole(tiny_codec, file):
    return np.asarray(tiny_codec.decompress(file)).astype(int)


@pytest.mark.parametrize("region", PARTS)
def test_a_part_is_cut_from_the_whole(tiny_codec, file, whole, region):
    x, y, width, height = region
    part = np.asarray(tiny_codec.decompress(file, region=region)).astype(int)
    assert part.shape == (height, width, 3)
    assert np.abs(part - whole[y : y + height, x : x + width]).max() <= 1


def test_only_the_tiles_that_are_needed_are_decoded(tiny_codec, file, monkeypatch):
    calls = []
    decode = tiny_codec.model.coder.decode

    def watch(layers, size, level):
        calls.append(size)
        return decode(layers, size, level)

    monkeypatch.setattr(tiny_codec.model.coder, "decode", watch)
    tiny_codec.decompress(file, region=(0, 0, 10, 10))
    # One block and the halo, in tiles of 4 x 4 blocks, of which the picture has 7 x 5.
    assert len(calls) == (-(-(1 + TRANSFORM_HALO) // 4)) ** 2 == 16
    tiny_codec.decompress(file)
    assert len(calls) == 16 + 35


def test_alpha_is_cut_too(tiny_codec):
    pixels = np.dstack([picture(96, 80), np.arange(96 * 80, dtype=np.uint8).reshape(96, 80)])
    codec = tiny_codec
    data = codec.compress(Image.fromarray(pixels))
    part = codec.decompress(data, region=(10, 20, 30, 40))
    assert part.mode == "RGBA"
    assert np.array_equal(np.asarray(part)[:, :, 3], pixels[20:60, 10:40, 3])


@pytest.mark.parametrize("region", OUTSIDE)
def test_regions_outside_are_refused(tiny_codec, file, region):
    with pytest.raises(ValueError, match="is not within 300x420"):
        tiny_codec.decompress(file, region=region)


def test_on_the_command_line(tmp_path, photo, models, capsys):
    assert main(["compress", str(photo), "-q", "100"]) == 0
    words = ["decompress", str(photo.with_suffix(".vqc")), "-o", str(tmp_path / "part.png")]
    assert main([*words, "--region", "10,20,30,15"]) == 0
    with Image.open(photo) as original, Image.open(tmp_path / "part.png") as part:
        assert np.array_equal(np.asarray(part), np.asarray(original)[20:35, 10:40])
    capsys.readouterr()
    assert main([*words, "-f", "--region", "60,0,30,15"]) == 1
    assert "region 60,0,30,15 is not within 72x48" in capsys.readouterr().err
    assert main([*words, "-f", "--region", "60,0,30"]) == 2
