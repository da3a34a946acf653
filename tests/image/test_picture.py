"""Pillow pictures of every mode -> Picture, and metadata through it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from vqcodec.bitstream.header import SIDE_MAX
from vqcodec.errors import UnsupportedImage
from vqcodec.image.metadata import KINDS, Metadata, clean_exif, clean_xmp, parse_kinds
from vqcodec.image.picture import FORMAT_SIDE, load_picture, to_pil
from vqcodec.types import Limits

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" a="b"/></x:xmpmeta>'


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    return exif.tobytes()


def test_side_limit_is_that_of_the_format():
    assert FORMAT_SIDE == SIDE_MAX


def test_rgb_is_taken_as_it_is(pixels):
    picture = load_picture(saved(Image.fromarray(pixels)))
    assert np.array_equal(picture.pixels, pixels)
    assert (picture.mode, picture.width, picture.height) == ("RGB", 72, 48)
    assert picture.notes == ()
    assert picture.metadata == Metadata()


@pytest.mark.parametrize("kind", ["path", "bytes", "file", "image", "array"])
def test_every_kind_of_source(pixels, photo, kind):
    data = photo.read_bytes()
    source = {
        "path": photo,
        "bytes": data,
        "file": io.BytesIO(data),
        "image": Image.fromarray(pixels),
        "array": pixels,
    }[kind]
    assert np.array_equal(load_picture(source).pixels, pixels)


def test_gray_stays_gray_and_averages_back(pixels):
    gray = pixels[:, :, 0]
    picture = load_picture(Image.fromarray(gray))
    assert picture.mode == "L"
    assert np.array_equal(picture.pixels, np.repeat(gray[:, :, None], 3, axis=2))
    image, _ = to_pil(picture.pixels, True, None, Metadata())
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), gray)
    image, _ = to_pil(
        np.array([[[10, 11, 11], [0, 0, 1], [255, 255, 255]]], np.uint8), True, None, Metadata()
    )
    assert np.asarray(image).tolist() == [[11, 0, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_alpha_is_kept_exactly(pixels, mode):
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (48, 72), dtype=np.uint8)
    image = Image.fromarray(pixels)
    base = image.convert({"LA": "L", "La": "L", "PA": "P"}.get(mode, "RGB"))
    base.putalpha(Image.fromarray(alpha))
    image = base if base.mode == mode else base.convert(mode)
    assert image.mode == mode
    picture = load_picture(image)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha)
    assert picture.mode == ("LA" if mode in ("LA", "La") else "RGBA")


def test_opaque_alpha_is_dropped(pixels):
    image = Image.fromarray(pixels)
    image.putalpha(255)
    assert load_picture(image).mode == "RGB"


def test_alpha_comes_back(pixels):
    alpha = np.arange(48 * 72, dtype=np.uint64).astype(np.uint8).reshape(48, 72)
    colour, _ = to_pil(pixels, False, alpha, Metadata())
    gray, _ = to_pil(pixels, True, alpha, Metadata())
    assert (colour.mode, gray.mode) == ("RGBA", "LA")
    assert np.array_equal(np.asarray(colour)[:, :, 3], alpha)
    assert np.array_equal(np.asarray(gray)[:, :, 1], alpha)


def test_bilevel():
    bits = np.array([[True, False, True]])
    picture = load_picture(saved(Image.fromarray(bits)))
    assert picture.gray
    assert picture.pixels[0, :, 0].tolist() == [255, 0, 255]


def test_palette_with_transparent_entry():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    picture = load_picture(saved(image, transparency=1))
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


def test_gray_palette_is_gray():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 10, 10, 200, 200, 200])
    image.putdata([0, 1])
    assert load_picture(saved(image)).mode == "L"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_colour_of_png(mode):
    image = Image.new(mode, (2, 1))
    image.putpixel((0, 0), 7 if mode == "L" else (7, 7, 7))
    picture = load_picture(saved(image, transparency=7 if mode == "L" else (7, 7, 7)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.gray == (mode == "L")


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


def test_floats():
    unit = load_picture(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)))
    wide = load_picture(Image.fromarray(np.array([[0.0, 100.4, 255.0]], np.float32)))
    assert unit.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert wide.pixels[0, :, 0].tolist() == [0, 100, 255]
    for bad in ([np.nan, 0], [-0.1, 0.5], [0, 300]):
        with pytest.raises(UnsupportedImage, match="float"):
            load_picture(Image.fromarray(np.array([bad], np.float32)))


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX"])
def test_other_colour_spaces(mode):
    image = Image.new("RGB", (4, 4), (200, 40, 90))
    found = load_picture(image.convert(mode)).pixels[0, 0].astype(int)
    assert np.abs(found - [200, 40, 90]).max() <= 4


def test_lab():
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    image = Image.new("RGB", (4, 4), (200, 40, 90))
    lab = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert lab is not None
    picture = load_picture(lab)
    assert np.abs(picture.pixels[0, 0].astype(int) - [200, 40, 90]).max() <= 4
    assert picture.notes == ("LAB converted to sRGB",)


def test_cmyk_jpeg_without_profile():
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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_applied_and_reset(orientation, kind):
    # The top left quarter of the upright picture is red, the top right green.
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = (255, 0, 0)
    upright[:16, 24:] = (0, 255, 0)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> transpose that stores it
    image = Image.fromarray(upright)
    stored = image.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else image
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "JPEG" else {}
    picture = load_picture(saved(stored, kind, exif=exif_with(orientation), **options))
    assert (picture.width, picture.height) == (48, 32)
    assert np.abs(picture.pixels.astype(int) - upright)[4:12, 4:12].max() <= 4
    assert np.abs(picture.pixels.astype(int) - upright)[4:12, 36:44].max() <= 4
    exif = Image.Exif()
    assert picture.metadata.exif is not None
    exif.load(picture.metadata.exif)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x010F] == "Maker"


@pytest.mark.parametrize("order", ["little", "big"])
def test_clean_exif_changes_two_bytes_only(order):
    mark = b"II*\0" if order == "little" else b"MM\0*"

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if order == "little" else "big")

    entry = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(6, 2) + b"\0\0"
    block = mark + number(8, 4) + number(1, 2) + entry + number(0, 4) + b"maker note"
    cleaned = clean_exif(b"Exif\0\0" + block)
    assert cleaned is not None
    assert cleaned == block[:18] + number(1, 2) + block[20:]
    for end in range(len(block)):
        clean_exif(block[:end])  # cut blocks are passed on or refused, never an exception
    assert clean_exif(b"not exif") is None


def test_clean_xmp():
    assert clean_xmp(XMP) == XMP.replace(b'"6"', b'"1"')
    element = b"<tiff:Orientation>8</tiff:Orientation>"
    assert clean_xmp(element) == b"<tiff:Orientation>1</tiff:Orientation>"
    assert clean_xmp(b'x tiff:Orientation="1"') == b'x tiff:Orientation="1"'


def test_metadata_is_limited_and_selected(pixels):
    data = saved(Image.fromarray(pixels), "WEBP", exif=exif_with(1), icc_profile=SRGB, xmp=XMP)
    assert load_picture(data).metadata.xmp == clean_xmp(XMP)
    assert (
        load_picture(data, metadata=frozenset({"exif"})).metadata.only(frozenset({"icc", "xmp"}))
        == Metadata()
    )
    small = load_picture(data, limits=Limits(metadata=200))
    assert small.metadata.icc is None
    assert small.metadata.xmp is not None
    assert "over the limit" in small.notes[0]


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [("all", KINDS), ("none", set()), ("icc, EXIF", {"icc", "exif"}), (["xmp"], {"xmp"}), ([], set())],
)
def test_parse_kinds(choice, kinds):
    assert parse_kinds(choice) == kinds


@pytest.mark.parametrize("choice", ["", "all,icc", "gps", ["none", "icc"]])
def test_parse_kinds_refuses(choice):
    with pytest.raises(ValueError, match="metadata must be"):
        parse_kinds(choice)


def test_animation_codes_the_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = load_picture(data)
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert picture.notes == ("animated picture, only the first of 3 frames is coded",)
    image = Image.open(io.BytesIO(data))
    image.seek(2)
    assert load_picture(image).pixels[0, 0].tolist() == [0, 0, 255]  # a PIL image: the frame it is at


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"just some text", "known format"),
        (b"\x89VQC" + bytes(60), "already a .vqc"),
    ],
)
def test_not_a_picture(data, reason):
    with pytest.raises(UnsupportedImage, match=reason):
        load_picture(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damaged_pictures_raise_one_type(pixels, kind):
    data = saved(Image.fromarray(pixels), kind)
    rng = np.random.default_rng(3)
    variants = [data[:end] for end in rng.integers(1, len(data) - 1, 20)]
    variants += [
        data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :] for at in rng.integers(0, len(data), 40)
    ]
    reasons = []
    for variant in variants:
        try:
            load_picture(variant)  # some damage goes unnoticed: not every format has checksums
        except UnsupportedImage as error:
            reasons.append(str(error))
    assert reasons
    assert not any("\n" in reason for reason in reasons)


def test_cut_png_is_refused(photo):
    with pytest.raises(UnsupportedImage, match="damaged"):
        load_picture(photo.read_bytes()[:400])


def test_large_pictures_are_refused(monkeypatch):
    with pytest.raises(UnsupportedImage, match="limit of 99"):
        load_picture(Image.new("L", (10, 10)), limits=Limits(pixels=99))
    with pytest.raises(UnsupportedImage, match="longer than 9"):
        load_picture(Image.new("L", (10, 1)), limits=Limits(side=9))
    with pytest.raises(UnsupportedImage, match="longer than 65535"):
        load_picture(Image.new("L", (70_000, 1)), limits=Limits(0, 0))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnsupportedImage, match="MAX_IMAGE_PIXELS"):
        load_picture(saved(Image.new("L", (10, 10))))


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 3), np.uint8)])
def test_arrays_are_checked(bad):
    with pytest.raises(UnsupportedImage):
        load_picture(bad)


def test_missing_file_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
