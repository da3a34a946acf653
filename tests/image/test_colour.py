"""Colour spaces, ICC profiles and sample depths -> 8 bit gray or RGB."""

from __future__ import annotations

import re
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.image.icc_profiles import colour
from tests.image.samples import SRGB, as_pil, saved
from vqcodec.errors import UnsupportedImage
from vqcodec.image.colour import icc_space, in_mode
from vqcodec.image.metadata import Metadata
from vqcodec.image.picture import load_picture


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
    for profile in (None, SRGB):  # what LAB means needs no profile, and another space's is none for it
        lab.info["icc_profile"] = profile
        picture = load_picture(lab)
        assert np.abs(picture.pixels[0, 0].astype(int) - [200, 40, 90]).max() <= 4
        assert picture.notes == ("LAB converted to sRGB",)


def test_cmyk_without_profile_takes_the_plain_formula():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    picture = load_picture(saved(image, "JPEG", quality=95))
    assert np.abs(picture.pixels[8, 8].astype(int) - [255, 0, 0]).max() <= 8
    assert picture.notes == ("CMYK without a usable profile converted to RGB by the plain formula",)


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
    image, _ = as_pil(pixels, False, None, Metadata(icc=swapped))
    assert image.info["icc_profile"] == swapped
    assert np.array_equal(np.asarray(image), pixels)
    image, _ = as_pil(pixels, False, None, Metadata(icc=swapped), frozenset())
    assert "icc_profile" not in image.info
    assert np.abs(np.asarray(image).astype(int) - pixels[:, :, ::-1]).max() <= 2


def test_profile_of_another_space_is_not_kept(pixels):
    gray = Image.fromarray(pixels[:, :, 0])
    picture = load_picture(saved(gray, "JPEG", icc_profile=SRGB, quality=100))
    assert picture.gray
    assert picture.metadata.icc is None
    assert picture.notes == ("RGB profile on a gray picture applied and dropped",)
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
    assert lab is not None
    monkeypatch.delattr("PIL.ImageCms")
    monkeypatch.setitem(sys.modules, "PIL.ImageCms", None)  # its import fails
    for icc, notes in (
        (colour("Display P3"), ("ICC profile cannot be applied, pixels taken as sRGB",)),
        (SRGB, ()),  # nothing has to be applied
    ):
        picture = load_picture(saved(Image.fromarray(pixels), icc_profile=icc), metadata=frozenset())
        assert picture.notes == notes
        assert np.array_equal(picture.pixels, pixels)
    with pytest.raises(UnsupportedImage, match=r"^LAB pictures need Pillow with littleCMS$"):
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


@pytest.mark.parametrize("bad", [[-1, 5], [0, 65_536], [0, 70_000]])
def test_wide_integers_are_refused(bad):
    with pytest.raises(UnsupportedImage, match="16 bits"):
        load_picture(Image.fromarray(np.array([bad], np.int32)))


def test_floats_in_0_to_1_or_0_to_255_are_rounded():
    for values, rounded, top in (
        ([0.0, 0.5, 1.0], [0, 128, 255], 1),
        ([0.0, 0.6, 1.5], [0, 1, 2], 255),
        ([0.0, 100.4, 255.0], [0, 100, 255], 255),
    ):
        picture = load_picture(Image.fromarray(np.array([values], np.float32)))
        assert picture.pixels[0, :, 0].tolist() == rounded
        assert picture.notes == (f"floating-point samples in 0..{top} rounded to 8 bits",)
    for bad, reason in (
        ([np.nan, 0], "floating-point picture with infinite or undefined values"),
        ([-0.5, 0.5], "floating-point values -0.5 to 0.5 fit neither 0..1 nor 0..255"),
        ([0, 255.5], "floating-point values 0 to 255.5 fit neither 0..1 nor 0..255"),
    ):
        with pytest.raises(UnsupportedImage, match=f"^{re.escape(reason)}$"):
            load_picture(Image.fromarray(np.array([bad], np.float32)))


def gray_profile() -> bytes:
    """A profile of linear gray: a header and two tags, the white point and a curve of no points."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # D50 in 1/65536
    curve = b"curv" + bytes(8)
    table = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(white), b"kTRC", 156 + len(white), len(curve))
    body = table + white + curve
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + body


def test_a_gray_profile_is_applied_and_the_picture_stays_gray():
    picture = load_picture(
        saved(Image.new("L", (4, 4), 128), icc_profile=gray_profile()), metadata=frozenset()
    )
    assert picture.gray
    assert picture.notes == ()
    assert abs(int(picture.pixels[0, 0, 0]) - 188) <= 1  # half the light in sRGB


def test_the_space_of_a_profile_is_read_from_a_whole_header_only():
    header = bytes(16) + b"RGB " + bytes(16) + b"acsp" + bytes(88)
    assert icc_space(header) == "RGB"
    assert [icc_space(bad) for bad in (None, header[:127], header.replace(b"acsp", b"none"))] == ["", "", ""]


def test_an_image_that_has_the_mode_is_not_copied():
    image = Image.new("RGB", (2, 2))
    assert in_mode(image, "RGB") is image
    assert in_mode(image, "L").mode == "L"


def test_notes_of_a_profile_that_cannot_be_applied(pixels):
    assert as_pil(pixels, False, None, Metadata(), frozenset())[1] == ()
    _, notes = as_pil(pixels, False, None, Metadata(icc=b"junk"), frozenset())
    assert notes == ("ICC profile cannot be applied, pixels taken as sRGB",)
