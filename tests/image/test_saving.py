"""Decoded pictures -> files of every format, with their metadata."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from vqcodec.errors import UnsupportedImage
from vqcodec.image.metadata import Metadata
from vqcodec.image.picture import load_picture, to_pil
from vqcodec.image.saving import SUFFIXES, encode_image, format_for

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
KINDS = sorted(set(SUFFIXES.values()))


def exif() -> bytes:
    block = Image.Exif()
    block[0x010F] = "Maker"
    return block.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_mode_in_every_format(pixels, kind, mode):
    alpha = np.full(pixels.shape[:2], 200, np.uint8)
    alpha[:20] = 0
    image, _ = to_pil(pixels, mode[0] == "L", alpha if mode[-1] == "A" else None, Metadata())
    data, notes = encode_image(image, kind)
    read = Image.open(io.BytesIO(data))
    assert read.format == kind
    assert read.size == image.size
    holds_alpha = kind in ("PNG", "WEBP", "AVIF", "TIFF")
    assert bool(notes) == (mode[-1] == "A" and not holds_alpha)
    if kind in ("JPEG", "AVIF"):
        return
    expected = image if holds_alpha else Image.open(io.BytesIO(encode_image(image, "PNG")[0]))
    if mode[-1] == "A" and not holds_alpha:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(expected.convert("RGBA"))
        expected = white.convert("RGB")
    assert np.array_equal(np.asarray(read.convert("RGBA")), np.asarray(expected.convert("RGBA")))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_metadata_survives(pixels, kind):
    blocks = Metadata(icc=SRGB, exif=exif(), xmp=b"<x:xmpmeta/>")
    image, _ = to_pil(pixels, False, None, blocks)
    data, notes = encode_image(image, kind)
    assert notes == ()
    again = load_picture(data).metadata
    assert again.icc == SRGB
    assert again.xmp == b"<x:xmpmeta/>"
    read = Image.Exif()
    assert again.exif is not None
    read.load(again.exif)
    assert read[0x010F] == "Maker"


@pytest.mark.parametrize("kind", ["BMP", "PPM"])
def test_formats_without_metadata_say_so(pixels, kind):
    image, _ = to_pil(pixels, False, None, Metadata(icc=SRGB, xmp=b"x"))
    _, notes = encode_image(image, kind)
    assert notes == (
        f"{kind} cannot hold the icc block, dropped",
        f"{kind} cannot hold the xmp block, dropped",
    )


def test_jpeg_drops_blocks_over_its_segment_size(pixels):
    image, _ = to_pil(pixels, False, None, Metadata(exif=exif(), xmp=b"x" * 70_000))
    data, notes = encode_image(image, "JPEG")
    assert notes == ("xmp block does not fit a JPEG segment, dropped",)
    assert load_picture(data).metadata.exif is not None


def test_the_picture_is_left_as_it_was_and_not_copied(pixels, monkeypatch):
    image, _ = to_pil(pixels, False, None, Metadata(icc=SRGB, exif=exif()))
    info = dict(image.info)
    monkeypatch.setattr(Image.Image, "copy", None)  # 100 megapixels once more would be 400 MB
    for kind in ("PNG", "PPM", "TIFF"):
        encode_image(image, kind)
    assert image.info == info
    wide = Image.new("L", (20_000, 1))
    wide.info["icc_profile"] = SRGB
    with pytest.raises(UnsupportedImage):
        encode_image(wide, "WEBP")
    assert wide.info == {"icc_profile": SRGB}


def test_too_large_for_the_format():
    with pytest.raises(UnsupportedImage, match="cannot write this picture as WEBP"):
        encode_image(Image.new("L", (20_000, 1)), "WEBP")


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [("a.PNG", None, "PNG"), ("a.b.jpeg", None, "JPEG"), ("x", "webp", "WEBP"), ("a.png", ".PPM", "PPM")],
)
def test_format_for(path, name, kind):
    assert format_for(path, name) == kind


@pytest.mark.parametrize(("path", "name"), [("a.vqc", None), ("a", None), ("a.png", "exe")])
def test_format_for_unknown(path, name):
    with pytest.raises(ValueError, match="unknown picture format"):
        format_for(path, name)
