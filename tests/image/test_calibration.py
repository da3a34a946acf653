"""PNGs whose samples are not sRGB: gAMA, cHRM, cICP."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.image.samples import saved
from vqcodec.image.calibration import DISPLAY_P3
from vqcodec.image.colour import icc_space
from vqcodec.image.metadata import EXACT, KINDS, Metadata
from vqcodec.image.picture import load_picture

RAMP = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
P3_CHUNK = struct.pack(">8I", *(round(100_000 * value) for value in DISPLAY_P3))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(image: Image.Image, *chunks: bytes, **options: Any) -> bytes:
    """A PNG of the image with chunks behind its header."""
    png = saved(image, **options)
    return png[:33] + b"".join(chunks) + png[33:]


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def expected(exponent: float) -> np.ndarray:
    """sRGB values of samples that stand for light by a power."""
    light = (np.arange(256) / 255) ** exponent
    return np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def shown(data: bytes | Image.Image) -> np.ndarray:
    """What a viewer that knows of profiles shows, in sRGB."""
    return load_picture(data, metadata=frozenset()).pixels


@pytest.mark.parametrize("value", [1.0, 0.35, 0.7, 2.5])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA", "I;16"])
def test_pixels_of_another_gamma_get_a_profile(value, mode):
    gray = Image.fromarray(RAMP)
    image = Image.fromarray(RAMP.astype(np.uint16) * 257) if mode == "I;16" else gray.convert(mode)
    data = with_chunks(image, gamma(value))
    picture = load_picture(data)
    assert np.array_equal(picture.pixels[:, :, 0], RAMP)
    assert icc_space(picture.metadata.icc) == ("RGB" if mode == "RGB" else "GRAY")
    assert np.abs(shown(data)[0, :, 0] - expected(1 / value)).max() <= 1


def test_the_profile_comes_back_with_the_pixels(codec):
    data = with_chunks(Image.fromarray(RAMP).convert("RGB"), gamma(1.0))
    back = codec.decompress(codec.compress(data, quality=100))
    assert (back.mode, icc_space(back.info["icc_profile"])) == ("RGB", "RGB")
    again = load_picture(saved(back, icc_profile=back.info["icc_profile"]), metadata=frozenset())
    assert np.abs(again.pixels[0, :, 0] - expected(1.0)).max() <= 1
    plain = codec.decompress(codec.compress(data, quality=100), metadata="none")
    assert np.abs(np.asarray(plain)[0, :, 0] - expected(1.0)).max() <= 1


@pytest.mark.parametrize("value", [0.45455, 0.44, 0.47])
def test_what_is_as_good_as_srgb_is_left_alone(value):
    picture = load_picture(with_chunks(Image.fromarray(RAMP), gamma(value)))
    assert np.array_equal(picture.pixels[:, :, 0], RAMP)
    assert (picture.notes, picture.metadata) == ((), Metadata())


@pytest.mark.parametrize("other", ["sRGB", "iCCP"])
def test_srgb_and_profiles_count_before_gamma(other):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    chunks = [chunk(b"sRGB", b"\0")] if other == "sRGB" else []
    options = {"icc_profile": profile} if other == "iCCP" else {}
    data = with_chunks(Image.fromarray(RAMP).convert("RGB"), gamma(1.0), *chunks, **options)
    picture = load_picture(data, metadata=KINDS | {EXACT})
    assert picture.metadata.icc == options.get("icc_profile")


def test_an_image_that_was_made_of_such_a_file_is_meant_alike():
    image = Image.open(io.BytesIO(with_chunks(Image.fromarray(RAMP), gamma(1.0))))
    assert np.abs(shown(image.crop((0, 0, 256, 2)))[0, :, 0] - expected(1.0)).max() <= 1


def test_primaries_are_those_of_littlecms():
    """Display P3 as published: linear sRGB = matrix * linear P3."""
    matrix = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    pixels = np.random.default_rng(0).integers(60, 190, (60, 4, 3), dtype=np.uint8)
    pixels[0] = 255
    values = pixels / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ matrix.T
    light = np.clip(light, 0, 1)
    wanted = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    image = Image.fromarray(pixels)
    for data in (
        with_chunks(image, chunk(b"cICP", b"\x0c\x0d\0\1")),
        with_chunks(image, gamma(1 / 2.2), chunk(b"cHRM", P3_CHUNK)),
    ):
        assert np.abs(shown(data) - wanted).max() <= 1.5
    assert load_picture(with_chunks(image, chunk(b"cHRM", P3_CHUNK))).metadata.icc is None  # without gamma


@pytest.mark.parametrize(
    ("code", "note", "profile"),
    [
        (b"\x0c\x0d\x00\x01", None, True),
        (b"\x01\x08\x00\x01", None, True),
        (b"\x09\x10\x00\x01", "HDR (PQ) picture taken as if it were sRGB, which looks pale", False),
        (b"\x01\x0d\x00\x01", None, False),
    ],
)
def test_code_points(code, note, profile):
    image = Image.fromarray(np.full((4, 4, 3), (200, 150, 120), np.uint8))
    picture = load_picture(with_chunks(image, chunk(b"cICP", code)))
    assert picture.notes == ((note,) if note else ())
    assert (picture.metadata.icc is not None) == profile


@pytest.mark.parametrize("value", [0, 1, 2**31 - 1])
def test_impossible_values_are_ignored(value):
    image = Image.fromarray(RAMP).convert("RGB")
    bad = chunk(b"cHRM", struct.pack(">8I", *[value] * 8))
    for stated in (chunk(b"gAMA", struct.pack(">I", value)), gamma(0.45455)):
        assert load_picture(with_chunks(image, stated, bad)).metadata.icc is None
