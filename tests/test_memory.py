"""How much memory pictures take on their way: 100 megapixels have to fit in 1.5 GB with Python and all.

What Pillow holds, 4 bytes a pixel, is its own and not counted here; numpy's arrays are.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from benchmarks.codecs import VqCodec
from tests.tiny import picture
from vqcodec.decompress.tile_decoder import TileDecoder
from vqcodec.image.assembling import to_pil
from vqcodec.image.metadata import Metadata
from vqcodec.image.picture import load_picture, pixels_of
from vqcodec.metrics.rate_distortion import mse


def peak_of(call: Callable[[], object]) -> int:
    """The most bytes that a call holds at a time beyond what there was."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_array_is_coded_without_a_copy(pixels):
    assert load_picture(pixels).pixels is pixels


def test_a_prepared_picture_is_safe_from_changes(codec, pixels):
    own = pixels.copy()
    ready = codec.prepare(own)
    own[:] = 0
    assert codec.compress(ready) == codec.compress(pixels)


def test_pixels_pass_through_pillow_in_strips():
    image = Image.new("RGB", (1024, 4096), "red")
    assert peak_of(lambda: pixels_of(image)) < 1.5 * 3 * 1024 * 4096


@pytest.mark.parametrize("gray", [False, True])
def test_a_picture_is_assembled_without_an_array_of_it(gray):
    def parts():
        for top in range(0, 2048, 64):
            yield (slice(top, top + 64), slice(0, 1024)), np.full((64, 1024, 3), top // 16, np.uint8)

    assert peak_of(lambda: to_pil(parts(), (1024, 2048), gray, None, Metadata())) < 3 * 1024 * 2048 / 4


def test_decompress_makes_no_array_of_the_picture(tiny_codec, monkeypatch):
    pixels = picture(64, 64)
    data = tiny_codec.compress(pixels)
    seen = np.asarray(tiny_codec.decompress(data))
    monkeypatch.setattr(TileDecoder, "decode", None)
    assert np.array_equal(np.asarray(tiny_codec.decompress(data)), seen)


def test_benchmarks_take_pixels_in_strips(tiny_weights, monkeypatch):
    own, pixels = VqCodec(str(tiny_weights)), picture(64, 64)
    data = own.encode(pixels, 50)
    monkeypatch.setattr(Image.Image, "convert", None)
    assert own.decode(data).shape == pixels.shape


def test_errors_of_a_picture_are_summed_up_in_strips():
    a = np.zeros((4096, 512, 3), np.uint8)
    assert peak_of(lambda: mse(a, a)) < a.nbytes


def test_transforms_keep_few_planes_of_a_window(tiny_codec):
    """A plane is what the picture takes in float32; two or three of them are needed at a time."""
    model, pixels = tiny_codec.model, picture(256, 256)
    plane = 4 * pixels.size
    y = model.g_a(pixels, 120)
    assert peak_of(lambda: model.g_a(pixels, 120)) < 3 * plane
    assert peak_of(lambda: model.g_s(y, 120)) < 4 * plane
