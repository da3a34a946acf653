"""Thumbnails of all kinds of files: size, nearness, alpha, gray, colours, what is drawn, what is no file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import vqcodec
from tests.drawings import mixed, page
from tests.tiny import picture
from vqcodec import Thumbnailer, errors
from vqcodec.bitstream import parse
from vqcodec.bitstream.drawn import NO_MODEL
from vqcodec.metrics.rate_distortion import psnr

SAMPLES = Path(vqcodec.__file__).parent / "samples"


@pytest.fixture
def thumbnailer(installed_tiny):
    """With the tiny model among those that are installed."""
    return Thumbnailer()


def shrunk(image, size):
    copy = image.copy()
    copy.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=None)
    return copy


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_packaged_model_comes_near_where_the_coarse_layer_does_not(size):
    with Image.open(SAMPLES / "dog.png") as file:
        image = file.convert("RGB")
    codec = vqcodec.load()
    data = codec.compress(image, quality=60)
    wanted = np.asarray(shrunk(image, size))
    small = Thumbnailer().make(data, size)
    assert small.size == (size, size)
    assert psnr(np.asarray(small), wanted) > 33
    assert psnr(np.asarray(small), np.asarray(shrunk(codec.decompress(data), size))) > 36
    assert psnr(np.asarray(shrunk(codec.decompress(data, preview=1), size)), wanted) < 28


@pytest.mark.parametrize(("size", "wanted"), [(64, (64, 43)), (17, (17, 11)), (1, (1, 1)), (149, (149, 99))])
def test_it_fits_the_square(thumbnailer, tiny_codec, size, wanted):
    data = tiny_codec.compress(picture(200, 301, seed=2))
    assert thumbnailer.make(data, size).size == wanted
    assert thumbnailer.make(data, size).mode == "RGB"


def test_sizes_are_whole_numbers(thumbnailer):
    for size in ("64", None, 64.0):
        with pytest.raises(TypeError, match=f"^size must be a whole number, not {size!r}$"):
            thumbnailer.make(b"", size)


def test_what_is_small_comes_as_it_is(thumbnailer, tiny_codec):
    data = tiny_codec.compress(picture(50, 70, seed=2))
    for size in (70, 71, 500):
        assert thumbnailer.make(data, size).tobytes() == tiny_codec.decompress(data).tobytes()
    whole = tiny_codec.decompress(data).resize((60, 43), Image.Resampling.LANCZOS)
    assert psnr(np.asarray(thumbnailer.make(data, 60)), np.asarray(whole)) > 50


def test_alpha_and_gray(thumbnailer, tiny_codec):
    pixels = picture(160, 200, seed=4)
    alpha = np.full((160, 200, 1), 255, np.uint8)
    alpha[:, :100] = 0
    small = thumbnailer.make(tiny_codec.compress(np.concatenate([pixels, alpha], 2)), 50)
    assert (small.mode, small.size) == ("RGBA", (50, 40))
    seen = np.asarray(small)[:, :, 3]
    assert (seen[:, :23] == 0).all()
    assert (seen[:, 27:] == 255).all()
    gray = thumbnailer.make(tiny_codec.compress(pixels[:, :, 0]), 50)
    assert gray.mode == "L"
    as_rgb = tiny_codec.compress(pixels[:, :, :1].repeat(3, 2))
    assert thumbnailer.make(as_rgb, 50).mode == "RGB"


def test_colours_are_those_of_srgb(thumbnailer, tiny_codec):
    """A profile with red and green exchanged shows whether it was applied."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = srgb.replace(b"rXYZ", b"qXYZ").replace(b"gXYZ", b"rXYZ").replace(b"qXYZ", b"gXYZ")
    image = Image.fromarray(picture(160, 200, seed=4))
    plain, same, exchanged = (
        tiny_codec.compress(image, metadata="exact")
        if icc is None
        else tiny_codec.compress(with_icc(image, icc))
        for icc in (None, srgb, other)
    )
    first = np.asarray(thumbnailer.make(plain, 50))
    assert np.array_equal(np.asarray(thumbnailer.make(same, 50)), first)
    assert psnr(np.asarray(thumbnailer.make(exchanged, 50)), first) < 30


def with_icc(image, icc):
    copy = image.copy()
    copy.info["icc_profile"] = icc
    return copy


def test_drawn_pictures_are_decoded(thumbnailer, tiny_codec):
    pixels, _ = mixed()
    data = tiny_codec.compress(pixels, tile=64)
    assert parse(data).header.drawn
    whole = tiny_codec.decompress(data)
    size = max(whole.size) // 3
    wanted = whole.resize(thumbnailer.make(data, size).size, Image.Resampling.LANCZOS)
    assert psnr(np.asarray(thumbnailer.make(data, size)), np.asarray(wanted)) > 30
    alone = tiny_codec.compress(page(), lossless=True)
    assert parse(alone).header.bitstream_id == NO_MODEL
    assert thumbnailer.make(alone, 2500).tobytes() == tiny_codec.decompress(alone).tobytes()


def test_what_cannot_be_shown(thumbnailer, tiny_codec, tmp_path, monkeypatch):
    data = tiny_codec.compress(picture(64, 64))
    for size in (0, -1, 4097):
        with pytest.raises(ValueError, match="from 1 to 4096"):
            thumbnailer.make(data, size)
    with pytest.raises(errors.FormatError):
        thumbnailer.make(data[:-1], 32)
    with pytest.raises(OSError, match="nowhere"):
        thumbnailer.make(tmp_path / "nowhere", 32)
    monkeypatch.setenv("VQCODEC_MODELS", "")
    with pytest.raises(errors.ModelMismatch, match="which is not installed"):
        Thumbnailer().make(io.BytesIO(data), 32)
