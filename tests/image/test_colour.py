"""Colour spaces, ICC profiles and sample depths -> 8 bit gray or RGB."""

from __future__ import annotations

import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.image.samples import SRGB, saved
from vqcodec.errors import UnsupportedImage
from vqcodec.image.metadata import Metadata
from vqcodec.image.picture import load_picture, to_pil


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX"])
def test_ycbcr_hsv_and_rgbx_become_rgb(mode):
    image = Image.new("RGB", (4, 4), (200, 40, 90))
    found = load_picture(image.convert(mode)).pixels[0, 0].astype(int)
    assert np.abs(found - [200, 40, 90]).max() <= 4


def test_lab_becomes_srgb():
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    image = Image.new("RGB", (4, 4), (200, 40, 90))
    lab = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert lab is not None
    picture = load_picture(lab)
    assert np.abs(picture.pixels[0, 0].astype(int) - [200, 40, 90]).max() <= 4
    assert picture.notes == ("LAB converted to sRGB",)


def test_cmyk_without_profile_takes_the_plain_formula():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    picture = load_picture(saved(image, "JPEG", quality=95))
    assert np.abs(picture.pixels[8, 8].astype(int) - [255, 0, 0]).max() <= 8
    assert "CMYK" in picture.notes[0]


def test_profile_is_kept_or_applied(pixels):
    # Swap red and blue in an sRGB profile by exchanging its colorant tags: applying it must swap them back.
    swapped = SRGB.replace(b"rXYZ", b"tmpZ").replace(b"bXYZ", b"rXYZ").replace(b"tmpZ", b"bXYZ")
    data = saved(Image.fromarray(pixels), icc_profile=swapped)
    kept = load_picture(data)
    assert kept.metadata.icc == swapped
    assert np.array_equal(kept.pixels, pixels)
    applied = load_picture(data, metadata=frozenset())
    assert applied.metadata.icc is None
    assert np.abs(applied.pixels.astype(int) - pixels[:, :, ::-1]).max() <= 2
    image, _ = to_pil(pixels, False, None, Metadata(icc=swapped), frozenset())
    assert "icc_profile" not in image.info
    assert np.abs(np.asarray(image).astype(int) - pixels[:, :, ::-1]).max() <= 2


def test_profile_of_another_space_is_not_kept(pixels):
    gray = Image.fromarray(pixels[:, :, 0])
    picture = load_picture(saved(gray, "JPEG", icc_profile=SRGB, quality=100))
    assert picture.gray
    assert picture.metadata.icc is None
    assert np.abs(picture.pixels[:, :, 0].astype(int) - pixels[:, :, 0]).max() <= 4
    junk = load_picture(saved(Image.fromarray(pixels), icc_profile=b"junk"))
    assert junk.metadata.icc is None
    assert junk.notes == ("ICC profile does not fit the pixels, dropped",)


def test_without_littlecms_profiles_stay_unused_and_lab_is_refused(pixels, monkeypatch):
    lab = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    monkeypatch.delattr("PIL.ImageCms")
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)  # its import fails
    picture = load_picture(saved(Image.fromarray(pixels), icc_profile=SRGB), metadata=frozenset())
    assert picture.notes == ("ICC profile cannot be applied, pixels taken as sRGB",)
    assert np.array_equal(picture.pixels, pixels)
    with pytest.raises(UnsupportedImage, match="littleCMS"):
        load_picture(lab)


def test_sixteen_bits_round_to_nearest():
    values = np.array([[0, 128, 129, 257, 32768, 65534, 65535]], np.uint16)
    expected = np.rint(values / 257.0).astype(int).tolist()
    for image in (Image.fromarray(values), Image.fromarray(values.astype(np.int32))):
        picture = load_picture(saved(image, "TIFF"))
        assert picture.gray
        assert picture.pixels[:, :, 0].tolist() == expected
        assert picture.notes == ("16-bit samples rounded to 8 bits",)
    assert load_picture(saved(Image.fromarray(values))).pixels[:, :, 0].tolist() == expected


def test_sixteen_bit_colour_is_noted():
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    body = zlib.compress(b"\0" + struct.pack(">HHH", 0, 0x8000, 0xFFFF))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    picture = load_picture(png)
    assert picture.pixels.tolist() == [[[0, 128, 255]]]
    assert picture.notes == ("16-bit samples reduced to 8 bits",)


@pytest.mark.parametrize("bad", [[-1, 5], [0, 70_000]])
def test_wide_integers_are_refused(bad):
    with pytest.raises(UnsupportedImage, match="16 bits"):
        load_picture(Image.fromarray(np.array([bad], np.int32)))


def test_floats_in_0_to_1_or_0_to_255_are_rounded():
    unit = load_picture(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)))
    wide = load_picture(Image.fromarray(np.array([[0.0, 100.4, 255.0]], np.float32)))
    assert unit.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert wide.pixels[0, :, 0].tolist() == [0, 100, 255]
    for bad in ([np.nan, 0], [-0.1, 0.5], [0, 300]):
        with pytest.raises(UnsupportedImage, match="float"):
            load_picture(Image.fromarray(np.array([bad], np.float32)))
