"""The plug-in among Pillow's own formats, and with real models."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vqcodec
from tests.drawings import page
from tests.pillow_plugin.samples import saved
from vqcodec import errors, pillow_plugin


def test_registration_is_idempotent(plugin, models, make_model):
    first = pillow_plugin._registered
    vqcodec.register_pillow_plugin()
    assert pillow_plugin._registered is first
    assert Image.ID.count("VQC") == 1
    assert Image.registered_extensions()[".vqc"] == "VQC"
    vqcodec.register_pillow_plugin(model=models / "default.safetensors", device="cuda")
    assert pillow_plugin._registered is not first
    assert Image.ID.count("VQC") == 1


def test_pictures_are_loaded_without_raw_bytes_of_them(plugin, codec, pixels, tmp_path, monkeypatch):
    """Which would take their memory twice more."""
    path = tmp_path / "raw.vqc"
    path.write_bytes(codec.compress(pixels, quality=100, drawn=False))
    with Image.open(path) as image:
        monkeypatch.setattr(Image.Image, "tobytes", None)
        image.load()
        assert image.getpixel((3, 2)) == tuple(pixels[2, 3])


def test_registration_refuses_unknown_models_and_devices(clean_pillow, models):
    with pytest.raises(errors.ModelNotFound):
        vqcodec.register_pillow_plugin(model="nothing")
    with pytest.raises(ValueError, match="device must be"):
        vqcodec.register_pillow_plugin(device="gpu")
    assert "VQC" not in Image.ID


def test_compress_still_refuses_vqc_files(plugin, codec, pixels):
    with pytest.raises(errors.UnsupportedImage, match=r"already a \.vqc"):
        codec.compress(codec.compress(pixels))


def test_a_real_model_gives_the_bytes_and_pixels_of_its_codec(
    clean_pillow, tiny_weights: Path, pixels, make_model: Callable[..., Path]
):
    vqcodec.register_pillow_plugin(model=tiny_weights)
    data = saved(Image.fromarray(pixels), quality=60)
    codec = vqcodec.load(tiny_weights, device="cpu")
    assert data == codec.compress(pixels, quality=60)
    assert Image.open(io.BytesIO(data)).tobytes() == codec.decompress(data).tobytes()


def test_drawn_pictures_need_no_model(plugin, codec, tmp_path):
    data = codec.compress(page())
    path = tmp_path / "text.vqc"
    path.write_bytes(data)
    with Image.open(path) as image:
        assert image.info["vqc_model"] == "none"
        assert np.array_equal(np.asarray(image), page())
    Image.fromarray(page()).save(tmp_path / "again.vqc", lossless=True)
    assert vqcodec.probe(tmp_path / "again.vqc").quality == 100
