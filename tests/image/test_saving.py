"""Decoded pictures -> files of every format, with their metadata."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.image.samples import SRGB, as_pil
from vqcodec.errors import UnsupportedImage
from vqcodec.image.metadata import Metadata, parse_kinds
from vqcodec.image.picture import load_picture
from vqcodec.image.saving import SUFFIXES, encode_image, format_for

KINDS = sorted(set(SUFFIXES.values()))


def exif() -> bytes:
    block = Image.Exif()
    block[0x010F] = "Maker"
    return block.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_every_mode_survive_in_every_format(pixels, kind, mode):
    alpha = np.full(pixels.shape[:2], 200, np.uint8)
    alpha[:20] = 0
    image, _ = as_pil(pixels, mode[0] == "L", alpha if mode[-1] == "A" else None, Metadata())
    data, notes = encode_image(image, kind)
    read = Image.open(io.BytesIO(data))
    assert read.format == kind
    assert read.size == image.size
    holds_alpha = kind in ("PNG", "WEBP", "AVIF", "TIFF")
    flat = (f"{kind} has no alpha channel, flattened on white",)
    assert notes == (flat if mode[-1] == "A" and not holds_alpha else ())
    if not holds_alpha:
        assert read.mode == image.mode.removesuffix("A")
    expected = image.convert("RGBA")
    if mode[-1] == "A" and not holds_alpha:
        expected = Image.new("RGBA", image.size, "white")
        expected.alpha_composite(image.convert("RGBA"))
    difference = np.abs(np.asarray(read.convert("RGBA")).astype(int) - np.asarray(expected))
    if kind in ("JPEG", "AVIF"):
        assert difference.mean() < 3
        assert difference.max() <= 40
    else:
        assert difference.max() == 0


@pytest.mark.parametrize(("kind", "most"), [("JPEG", 8), ("AVIF", 4)])
def test_lossy_formats_keep_full_colour_resolution_at_high_quality(kind, most):
    """A checker of single red and blue pixels: 4:2:0 would leave purple, 150 levels off."""
    odd = np.indices((48, 72)).sum(0) % 2
    checker = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)[odd]
    read = Image.open(io.BytesIO(encode_image(Image.fromarray(checker), kind)[0]))
    assert np.abs(np.asarray(read.convert("RGB")).astype(int) - checker).max() <= most


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_icc_exif_and_xmp_survive_where_the_format_holds_them(pixels, kind):
    blocks = Metadata(icc=SRGB, exif=exif(), xmp=b"<x:xmpmeta/>")
    image, _ = as_pil(pixels, False, None, blocks)
    data, notes = encode_image(image, kind)
    assert notes == ()
    again = load_picture(data, metadata=parse_kinds("exact")).metadata
    assert again.icc == SRGB
    assert again.xmp == b"<x:xmpmeta/>"
    read = Image.Exif()
    assert again.exif is not None
    read.load(again.exif)
    assert read[0x010F] == "Maker"


@pytest.mark.parametrize("kind", ["BMP", "PPM"])
def test_formats_without_metadata_say_so(pixels, kind):
    image, _ = as_pil(pixels, False, None, Metadata(icc=SRGB, xmp=b"x"))
    _, notes = encode_image(image, kind)
    assert notes == (
        f"{kind} cannot hold the icc block, dropped",
        f"{kind} cannot hold the xmp block, dropped",
    )


def test_jpeg_drops_blocks_over_its_segment_size(pixels):
    image, _ = as_pil(pixels, False, None, Metadata(exif=exif(), xmp=b"x" * 70_000))
    data, notes = encode_image(image, "JPEG")
    assert notes == ("xmp block does not fit a JPEG segment, dropped",)
    assert load_picture(data).metadata.exif is not None
    image.info = {"exif": b"Exif\0\0" + exif() + bytes(65_000), "xmp": b"x" * 65_000}
    data, notes = encode_image(image, "JPEG")
    assert notes == ("exif block does not fit a JPEG segment, dropped",)
    assert load_picture(data).metadata.xmp == b"x" * 65_000


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_xmp_alone_survives_whatever_its_bytes(pixels, kind):
    for xmp, kept in (
        (b"<x/>", b"<x/>"),
        (b"<\xff/>", "<\ufffd/>".encode() if kind == "PNG" else b"<\xff/>"),
    ):
        image, _ = as_pil(pixels, False, None, Metadata(xmp=xmp))
        assert load_picture(encode_image(image, kind)[0]).metadata.xmp == kept


def test_what_a_writer_says_is_passed_on_in_one_line(monkeypatch):
    def fail(*_args, **_options):
        raise KeyError("no\n way")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(UnsupportedImage, match=r"^cannot write this picture as PNG \('no\\n way'\)$"):
        encode_image(Image.new("L", (1, 1)), "PNG")


def test_the_picture_is_left_as_it_was_and_not_copied(pixels, monkeypatch):
    image, _ = as_pil(pixels, False, None, Metadata(icc=SRGB, exif=exif()))
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


def test_a_picture_too_large_for_the_format_is_refused():
    with pytest.raises(UnsupportedImage, match="cannot write this picture as WEBP"):
        encode_image(Image.new("L", (20_000, 1)), "WEBP")


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [("a.PNG", None, "PNG"), ("a.b.jpeg", None, "JPEG"), ("x", "webp", "WEBP"), ("a.png", ".PPM", "PPM")],
)
def test_format_comes_from_the_name_or_else_the_suffix(path, name, kind):
    assert format_for(path, name) == kind


@pytest.mark.parametrize(("path", "name"), [("a.vqc", None), ("a.png", "exe")])
def test_unknown_formats_are_refused(path, name):
    known = "avif, bmp, jfif, jpe, jpeg, jpg, pgm, png, pnm, ppm, tif, tiff, webp"
    suffix = name or path.partition(".")[2]
    with pytest.raises(ValueError, match=f"^unknown picture format '{suffix}'; known: {known}$"):
        format_for(path, name)
    with pytest.raises(ValueError, match=f"^a: no suffix that tells a picture format; known: {known}$"):
        format_for("a", None)


def test_png_is_packed_quickly(pixels):
    expected = io.BytesIO()
    Image.fromarray(pixels).save(expected, "PNG", compress_level=3)
    assert encode_image(Image.fromarray(pixels), "PNG") == (expected.getvalue(), ())
