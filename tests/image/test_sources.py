"""What becomes of every kind of picture on its way file -> .vqc -> file, with a codec that is lossless."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.image.samples import SRGB, exif_with
from vqcodec import errors
from vqcodec.image.picture import load_picture
from vqcodec.types import Limits

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
FORMATS = ["PNG", "JPEG", "WEBP", "AVIF"]
NEAR: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}
"""Options that make a format as good as lossless."""


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if kind == "PNG" and "xmp" in options:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())
        options["pnginfo"] = text
    image.save(buffer, kind, **{**NEAR.get(kind, {}), **options})
    return buffer.getvalue()


def there_and_back(codec, data: bytes, kind: str = "PNG") -> Image.Image:
    """A picture file through the codec to a file of another format, opened."""
    picture, _ = codec.transcode(codec.compress(data, quality=100, metadata="exact"), kind)
    return Image.open(io.BytesIO(picture))


def png(colour: int, depth: int, width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of samples that Pillow cannot write; rows without their filter bytes."""
    size = len(rows) // height
    body = b"".join(b"\0" + rows[i * size : (i + 1) * size] for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


# -- metadata ----------------------------------------------------------------------------------
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_blocks_pass_from_every_format_to_every_other(codec, pixels, source, target):
    """The orientation is undone in the pixels, everything else is as it was."""
    turned = Image.fromarray(np.rot90(pixels).copy())
    data = saved(turned, source, icc_profile=SRGB, exif=exif_with(6), xmp=XMP)
    back = there_and_back(codec, data, target)
    assert back.size == (72, 48)
    assert back.info["icc_profile"] == SRGB
    assert back.info["xmp"] == XMP
    assert back.getexif()[0x010F] == "Maker"
    assert back.getexif().get(0x0112, 1) == 1
    difference = np.abs(np.asarray(back).astype(int) - pixels)
    assert difference.mean() < 3
    again = load_picture(saved(back, "PNG", exif=back.info["exif"]))
    assert (again.width, again.height) == (72, 48)  # no second turn


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_avif(pixels, orientation):
    exif = exif_with(orientation)
    picture = load_picture(saved(Image.fromarray(pixels), "AVIF", exif=exif))
    expected = load_picture(saved(Image.fromarray(pixels), "PNG", exif=exif))
    assert picture.pixels.shape == expected.pixels.shape
    assert np.abs(picture.pixels.astype(int) - expected.pixels).mean() < 3
    found = Image.Exif()
    assert picture.metadata.exif is not None
    found.load(picture.metadata.exif)
    assert found.get(0x0112, 1) == 1


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_turns_with_the_picture(codec, pixels, mode):
    image = Image.fromarray(pixels).convert(mode)
    image.putalpha(Image.fromarray(pixels[:, :, 2]))
    back = there_and_back(codec, saved(image, "PNG", exif=exif_with(8)))
    assert back.mode == mode
    assert np.array_equal(np.asarray(back.getchannel("A")), np.rot90(pixels[:, :, 2]))


# -- alpha and gray ----------------------------------------------------------------------------
@pytest.mark.parametrize("target", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("source", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_is_lossless(codec, pixels, source, target):
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 72), dtype=np.uint8)))
    data = saved(image, source)
    stored = Image.open(io.BytesIO(data)).getchannel("A")  # AVIF's own is not lossless
    assert there_and_back(codec, data, target).getchannel("A").tobytes() == stored.tobytes()


@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF", "BMP", "PPM"])
def test_gray_stays_gray(codec, pixels, source):
    gray = Image.fromarray(pixels[:, :, 0])
    data = saved(gray, source)
    for target in ("PNG", "JPEG", "TIFF", "BMP", "PPM"):
        assert there_and_back(codec, data, target).mode == "L"
    stored = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(there_and_back(codec, data)), stored)
    for target in ("WEBP", "AVIF"):  # these know no gray pictures
        back = np.asarray(there_and_back(codec, data, target).convert("RGB")).astype(int)
        assert np.abs(back - stored[:, :, None]).max() <= 8


# -- palettes ----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_becomes_rgb(codec, pixels, kind):
    image = Image.fromarray(pixels).quantize(32)
    back = there_and_back(codec, saved(image, kind))
    assert back.mode == "RGB"
    assert np.array_equal(np.asarray(back), np.asarray(image.convert("RGB")))


def test_palette_with_many_transparencies(codec, pixels):
    image = Image.fromarray(pixels).quantize(32)
    alpha = bytes(range(1, 256, 8))
    back = there_and_back(codec, saved(image, "PNG", transparency=alpha))
    assert back.mode == "RGBA"
    assert np.array_equal(np.asarray(back.getchannel("A")), np.frombuffer(alpha, np.uint8)[np.asarray(image)])
    assert np.array_equal(np.asarray(back)[:, :, :3], np.asarray(image.convert("RGB")))


def test_palette_with_opaque_transparencies_only(codec, pixels):
    image = Image.fromarray(pixels).quantize(32)
    assert there_and_back(codec, saved(image, "PNG", transparency=b"\xff" * 32)).mode == "RGB"


def test_transparent_gif(codec, pixels):
    image = Image.fromarray(pixels).quantize(32)
    back = there_and_back(codec, saved(image, "GIF", transparency=5))
    assert back.mode == "RGBA"
    assert np.array_equal(np.asarray(back.getchannel("A")) == 0, np.asarray(image) == 5)


# -- CMYK --------------------------------------------------------------------------------------
def cmyk_profile() -> bytes:
    """A CMYK profile in which full black ink alone is a medium gray, unlike in the plain formula."""
    entries = []
    for corner in range(16):  # grid points of C, M, Y, K, the last one fastest
        paper = 255 if corner == 0 else 128 if corner == 1 else 60
        entries += [paper, 128, 128]  # L*, a*, b*
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + bytes(entries) + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0"
    desc = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = [(b"desc", desc), (b"cprt", text), (b"wtpt", white), (b"A2B0", lut), (b"A2B1", lut)]
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags:
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    size = struct.pack(">I", start + len(body))
    head = size + bytes(4) + b"\x02\x40\0\0prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    return (head + illuminant).ljust(128, b"\0") + table + body


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(codec, kind):
    image = Image.new("CMYK", (16, 16), (0, 0, 0, 255))
    coded = codec.prepare(saved(image, kind, icc_profile=cmyk_profile())).picture
    assert coded.notes == ("CMYK converted to sRGB",)
    # L* = 50 is 119 in sRGB; black point compensation makes it a little darker.
    assert 80 < coded.pixels.mean() < 130
    assert coded.metadata.icc is None
    plain = codec.prepare(saved(image, kind)).picture
    assert plain.pixels.max() <= 2
    assert "plain formula" in plain.notes[0]


# -- depth -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("colour", "bands", "mode"), [(0, 1, "L"), (2, 3, "RGB"), (4, 2, "LA"), (6, 4, "RGBA")]
)
def test_sixteen_bit_png(codec, colour, bands, mode):
    values = np.random.default_rng(1).integers(257, 65_536, (20, 30, bands), dtype=np.uint16)
    data = png(colour, 16, 30, 20, values.astype(">u2").tobytes())
    picture = codec.prepare(data).picture
    assert "16-bit samples" in picture.notes[0]
    back = there_and_back(codec, data)
    assert back.mode == mode
    found = np.asarray(back).reshape(20, 30, bands).astype(int)
    assert np.abs(found - values / 257).max() <= 1


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_of_gray(codec, depth):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2**depth
    bits = np.unpackbits(values[:, :, None], axis=2)[:, :, -depth:].reshape(8, -1)
    back = there_and_back(codec, png(0, depth, 8, 8, np.packbits(bits, axis=1).tobytes()))
    assert back.mode == "L"
    assert np.array_equal(np.asarray(back), values * (255 // (2**depth - 1)))


def test_sixteen_bits_with_a_transparent_value(codec):
    values = np.array([[0, 257, 65_535]], np.uint16)
    data = png(0, 16, 3, 1, values.astype(">u2").tobytes(), (b"tRNS", b"\x01\x01"))
    back = there_and_back(codec, data)
    assert back.mode == "LA"
    assert np.asarray(back)[:, :, 1].tolist() == [[255, 0, 255]]
    assert np.asarray(back)[:, ::2, 0].tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_one_bit(codec, pixels, kind):
    image = Image.fromarray(pixels[:, :, 1] > 90)
    back = there_and_back(codec, saved(image, kind))
    assert back.mode == "L"
    assert np.array_equal(np.asarray(back) == 255, pixels[:, :, 1] > 90)
    assert set(np.unique(np.asarray(back))) == {0, 255}


# -- animation ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {}), ("PNG", {}), ("PNG", {"default_image": True}), ("WEBP", {}), ("AVIF", {})],
)
def test_of_animations_the_first_frame_is_coded(codec, kind, options):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    picture = codec.prepare(data).picture
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith("animated picture, only the first of ")
    back = there_and_back(codec, data)
    assert getattr(back, "n_frames", 1) == 1
    assert np.abs(np.asarray(back.convert("RGB")).astype(int) - [255, 0, 0]).max() <= 8


# -- size --------------------------------------------------------------------------------------
def test_huge_pictures_are_refused_before_they_are_decoded(codec, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)
    claims = png(2, 8, 60_000, 60_000, bytes(60_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # no matter what Pillow's own guard says
    for data, limits in (
        (claims, Limits()),
        (png(0, 8, 40_000, 10, bytes(400_000)), Limits()),
        (png(0, 8, 70_000, 10, bytes(700_000)), Limits(pixels=0, side=0)),
        (png(0, 8, 30, 30, bytes(900)), Limits(pixels=899)),
    ):
        with pytest.raises(errors.UnsupportedImage, match=r"longer than|more than the limit"):
            codec.compress(data, limits=limits)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_limits_alone_bound_the_size(codec, pixels, kind, monkeypatch, recwarn):
    data = saved(Image.fromarray(pixels), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert codec.prepare(data).picture.width == 72
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert not recwarn.list
    with pytest.raises(errors.UnsupportedImage, match="more than the limit of 1000"):
        codec.prepare(data, limits=Limits(pixels=1000))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 9)])
def test_slivers(codec, size):
    image = Image.effect_noise(size, 60).convert("RGB")
    back = there_and_back(codec, saved(image, "PNG"))
    assert back.size == size
    assert back.tobytes() == image.tobytes()
