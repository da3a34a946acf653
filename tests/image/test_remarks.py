"""What a file holds and a .vqc file cannot: a note for it; and samples of other depths."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.image.samples import exif_with, saved
from vqcodec.image.facts import depth
from vqcodec.image.metadata import KINDS
from vqcodec.image.opening import _FACTS
from vqcodec.image.picture import load_picture

COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def text(**entries: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, value in entries.items():
        info.add_text(key, value)
    return info


def with_segment(marker: int, body: bytes) -> bytes:
    jpeg = saved(COLOURS, "JPEG")
    return jpeg[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def photoshop(code: int) -> bytes:
    return b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", code, 0, 12) + b"\x1c\x02\x78\x00\x07caption"


@pytest.mark.parametrize(
    ("data", "lost"),
    [
        (with_segment(0xED, photoshop(0x0404)), "IPTC"),
        (with_segment(0xED, photoshop(0x07D0)), "Photoshop's resources"),
        (with_segment(0xEB, b"JP\0\0jumb"), "segment APP11"),
        (saved(COLOURS, "JPEG", comment=b"hello"), "the comment"),
        (saved(COLOURS, "GIF", comment=b"hello"), "the comment"),
        (saved(COLOURS, pnginfo=text(parameters="p", Title="t")), "text (parameters, Title)"),
        (saved(COLOURS, pnginfo=text(**{f"k{i}": "" for i in range(9)})), "text (k0, k1, k2, k3, ...)"),
        (saved(COLOURS, "JPEG", dpi=(300, 300)), "the resolution (300 dpi)"),
        (saved(COLOURS, "PNG", dpi=(300, 300)), "the resolution (300 dpi)"),
        (saved(COLOURS, "BMP", dpi=(300, 300)), "the resolution (300 dpi)"),
        (saved(COLOURS, "TIFF", tiffinfo={33723: b"\x1c\x02"}), "IPTC"),
        (saved(COLOURS, "TIFF", tiffinfo={34735: (1, 1, 0, 0)}), "a place on the map (GeoTIFF)"),
    ],
)
def test_what_is_lost_is_told_unless_less_was_asked_for(data, lost):
    assert load_picture(data).notes == (f"not kept: {lost}",)
    assert load_picture(data, metadata=KINDS - {"icc"}).notes == ()


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "P"])
@pytest.mark.parametrize("name", _FACTS)
def test_texts_of_a_png_are_taken_for_nothing_else(name, mode, behind):
    """Pillow has them in `info`, beside its own facts and under whatever name the file gives them."""
    image = COLOURS.convert(mode)
    plain, data = saved(image), saved(image, pnginfo=text(**{name: "12"}))
    if behind:  # the pixels, where Pillow meets it when it loads
        (chunk,) = re.findall(rb".{4}tEXt" + name.encode() + rb"\x0012.{4}", data, re.S)
        data = data.replace(chunk, b"")
        data = data[:-12] + chunk + data[-12:]
    wanted, found = load_picture(plain), load_picture(data)
    assert np.array_equal(found.pixels, wanted.pixels)
    assert found.notes == (f"not kept: text ({name})",)
    assert (found.alpha, found.metadata) == (wanted.alpha, wanted.metadata)
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(load_picture(opened).pixels, wanted.pixels)
        assert opened.info[name] in ("12", b"12")  # it is the caller's


@pytest.mark.parametrize("dpi", [72, 96, 1])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_usual_resolutions_are_not_worth_a_note(kind, dpi):
    assert load_picture(saved(COLOURS, kind, dpi=(dpi, dpi))).notes == ()


def test_pixels_that_are_not_square_are_told_of():
    jpeg = saved(COLOURS, "JPEG")
    at = jpeg.index(b"JFIF\0") + 7
    data = jpeg[:at] + struct.pack(">BHH", 0, 1, 2) + jpeg[at + 5 :]
    assert load_picture(data).notes == ("not kept: pixels that are not square",)


def test_a_resolution_within_exif_is_kept():
    exif = Image.Exif()
    exif[0x011A] = exif[0x011B] = 300.0
    exif[0x0128] = 2
    picture = load_picture(saved(COLOURS, "JPEG", exif=exif, dpi=(300, 300)))
    assert picture.notes == ()
    tiff = load_picture(saved(COLOURS, "TIFF", dpi=(300, 300)))
    assert tiff.notes == ()
    again = Image.Exif()
    assert tiff.metadata.exif is not None
    again.load(tiff.metadata.exif)
    assert (again[0x011A], again[0x0128]) == (300.0, 2)


def test_exif_that_imagemagick_wrote_as_text_is_kept():
    block = exif_with(6)
    raw = f"\nexif\n{len(block):8}\n{block.hex()}\n"
    picture = load_picture(saved(COLOURS.resize((16, 32)), pnginfo=text(**{"Raw profile type exif": raw})))
    assert (picture.width, picture.height, picture.notes) == (32, 16, ())
    assert picture.metadata.exif is not None
    assert b"Maker" in picture.metadata.exif


# -- depth -------------------------------------------------------------------------------------
@pytest.mark.parametrize("values", [np.arange(256), np.arange(256) // 2])
def test_integers_up_to_255_are_8_bits(values):
    picture = load_picture(Image.fromarray(values.reshape(16, 16).astype(np.uint8)).convert("I"))
    assert np.array_equal(picture.pixels[:, :, 0].ravel(), values)
    assert picture.notes == ("integer samples in 0..255 taken as 8 bits",)


def test_integers_of_a_file_of_16_bits_are_16_bits_however_dark():
    dark = np.full((16, 16), 200, np.uint16)
    pgm = b"P5 16 16 65535\n" + dark.astype(">u2").tobytes()
    for data in (pgm, saved(Image.fromarray(dark)), saved(Image.fromarray(dark), "JPEG2000")):
        picture = load_picture(data)
        assert picture.pixels.max() == 1
        assert picture.notes == ("16-bit samples rounded to 8 bits",)


def test_avif_of_more_than_8_bits_is_told_of():
    data = saved(COLOURS, "AVIF")
    at = data.index(b"av1C") + 6
    deep = data[:at] + bytes((data[at] | 0x40,)) + data[at + 1 :]
    with Image.open(io.BytesIO(data)) as image:
        assert (depth(image, deep), depth(image, data)) == (10, 0)
