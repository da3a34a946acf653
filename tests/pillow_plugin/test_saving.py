"""Pillow saving .vqc files: the options of `compress`."""

from __future__ import annotations

import inspect
import io
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from PIL import Image

from tests.pillow_plugin.samples import SRGB, XMP, exif_with, picture, saved
from vqcodec import loading
from vqcodec.bitstream.profiles import profile_bytes
from vqcodec.codec import Codec


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 30},
        {"quality": 33.3, "tile": 64},
        {"bpp": 6},
        {"target_size": 3000},
        {"psnr": 30},
        {"label": True},
    ],
)
def test_same_bytes_as_compress(plugin, codec, pixels, options):
    assert saved(Image.fromarray(pixels), **options) == codec.compress(pixels, **options)


def test_every_option_of_save_reaches_compress(plugin, pixels, monkeypatch):
    seen = {}

    def compress(_codec: Codec, _image: Any, **options: Any) -> bytes:
        seen.update(options)
        return b""

    compress.__signature__ = inspect.signature(Codec.compress)  # type: ignore[attr-defined]
    monkeypatch.setattr(Codec, "compress", compress)
    names = (
        "quality",
        "bpp",
        "target_size",
        "psnr",
        "tune",
        "tile",
        "label",
        "effort",
        "strip_gps",
        "limits",
    )
    options = {name: number for number, name in enumerate(names, 1)}
    saved(Image.fromarray(pixels), **options)
    assert seen == options


def test_the_place_is_stripped_if_so_asked(plugin, pixels):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 24.0)
    for strip in (False, True):
        back = Image.open(io.BytesIO(saved(Image.fromarray(pixels), exif=exif, strip_gps=strip))).getexif()
        assert (back[0x010F], bool(back.get_ifd(0x8825))) == ("Maker", not strip)


def test_options_that_promise_what_is_not_kept_are_refused_and_others_ignored(plugin, pixels):
    image = Image.fromarray(pixels)
    with pytest.raises(ValueError, match="VQC has no option"):
        saved(image, exact=True)
    assert saved(image, optimize=True, exact=False) == saved(image)


def test_a_file_that_takes_a_part_at_a_time_gets_everything(plugin, pixels, tmp_path):
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.got = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.got += data[:100]
            return min(len(data), 100)

    slow = Slow()
    Image.fromarray(pixels).save(cast("IO[bytes]", slow), "VQC")
    assert bytes(slow.got) == saved(Image.fromarray(pixels))


def test_gamma_of_png_is_applied(plugin, pixels):
    image = Image.fromarray(pixels)
    image.info["gamma"] = 1.0
    assert saved(image) != saved(Image.fromarray(pixels))


def test_the_model_is_loaded_once(plugin, codec, pixels, monkeypatch):
    loads = []

    def load(model: Any, *, device: str) -> Codec:
        loads.append((Path(model).name, device))
        return codec

    monkeypatch.setattr(loading, "load", load)
    for data in [saved(Image.fromarray(pixels)) for _ in range(2)]:
        Image.open(io.BytesIO(data)).load()
    assert loads == [("default.safetensors", "cpu")]


@pytest.mark.parametrize("mode", ["1", "P", "PA", "CMYK", "YCbCr", "I;16", "F", "RGBa"])
def test_other_modes_are_saved_as_compress_does(plugin, codec, pixels, mode):
    gray = pixels[:, :, 0]
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(gray.astype(np.float32))
    elif mode in ("PA", "RGBa"):
        image = picture(pixels, "RGBA").convert("RGBa" if mode == "RGBa" else "P")
        image = image if mode == "RGBa" else image.convert("PA")
    else:
        image = Image.fromarray(pixels).convert(mode)
    assert image.mode == mode
    assert saved(image) == codec.compress(image)


def test_transparent_palette_entry(plugin, codec):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.info["transparency"] = 1
    back = Image.open(io.BytesIO(saved(image)))
    assert back.mode == "RGBA"
    assert back.getchannel("A").tobytes() == b"\xff\0"


def test_profile_is_kept_and_other_blocks_are_not(plugin, pixels):
    image = Image.fromarray(pixels)
    image.info = {"icc_profile": SRGB, "exif": exif_with(6).tobytes(), "xmp": XMP}
    back = Image.open(io.BytesIO(saved(image)))
    assert back.info["icc_profile"] == profile_bytes(1)  # it means sRGB
    exact = Image.open(io.BytesIO(saved(image, metadata="exact")))
    assert exact.info["icc_profile"] == SRGB
    assert not {"exif", "xmp"} & back.info.keys()
    assert back.size == (72, 48)
    assert "icc_profile" not in Image.open(io.BytesIO(saved(image, icc_profile=None))).info
    assert image.info.keys() == {"icc_profile", "exif", "xmp"}
    with_all = saved(image, exif=exif_with(1), xmp=XMP.decode())
    assert {"exif", "xmp"} <= Image.open(io.BytesIO(with_all)).info.keys()
    assert saved(image, exif=exif_with(1).tobytes(), xmp=XMP) == with_all
    assert saved(image, exif=Image.Exif(), xmp="") == saved(image)


def test_orientation_given_turns_the_pixels(plugin, pixels):
    back = Image.open(io.BytesIO(saved(Image.fromarray(pixels), quality=100, exif=exif_with(6))))
    assert back.size == (48, 72)
    assert back.getexif()[0x0112] == 1
    assert np.array_equal(np.asarray(back), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    "options",
    [
        {"quality": -1},
        {"quality": 101},
        {"quality": float("nan")},
        {"quality": "high"},
        {"quality": 50, "bpp": 1},
        {"bpp": 0},
        {"tile": 63},
        {"exif": b"not exif"},
    ],
)
def test_bad_options_of_save_raise_valueerror(plugin, pixels, tmp_path, options):
    with pytest.raises(ValueError, match=r"must be|only one of"):
        Image.fromarray(pixels).save(tmp_path / "a.vqc", **options)
    assert not (tmp_path / "a.vqc").exists()


def test_pictures_that_cannot_be_coded_raise_oserror(plugin, pixels, tmp_path):
    bad = Image.fromarray(np.full((4, 4), np.nan, np.float32))
    cases: list[tuple[Image.Image, dict[str, Any]]] = [
        (bad, {}),
        (Image.fromarray(pixels), {"target_size": 50}),
    ]
    for image, options in cases:
        with pytest.raises(OSError, match=r"float|already needs"):
            image.save(tmp_path / "a.vqc", **options)
        assert not (tmp_path / "a.vqc").exists()


def test_saving_over_the_opened_file(plugin, codec, photo, tmp_path):
    path = tmp_path / "a.vqc"
    codec.compress_file(photo, path, quality=100)
    image = Image.open(path)
    image.save(path, quality=100)
    with Image.open(path) as back, Image.open(photo) as before:
        assert back.tobytes() == before.tobytes()
