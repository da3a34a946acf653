"""Pillow pictures of every mode -> Picture, and metadata through it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.image.samples import as_pil, exif_with, saved
from vqcodec.errors import UnsupportedImage
from vqcodec.image.exif import clean_exif
from vqcodec.image.metadata import Metadata
from vqcodec.image.picture import PictureSource, load_picture
from vqcodec.probing import probe


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
    image, _ = as_pil(picture.pixels, True, None, Metadata())
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), gray)
    image, _ = as_pil(
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


def test_only_opaque_alpha_is_dropped(pixels):
    image = Image.fromarray(pixels)
    image.putalpha(255)
    assert load_picture(image).mode == "RGB"
    image.putalpha(254)
    nearly = load_picture(image)
    assert nearly.alpha is not None
    assert (nearly.alpha == 254).all()


def test_alpha_comes_back(pixels):
    alpha = np.arange(48 * 72, dtype=np.uint64).astype(np.uint8).reshape(48, 72)
    colour, _ = as_pil(pixels, False, alpha, Metadata())
    gray, _ = as_pil(pixels, True, alpha, Metadata())
    assert (colour.mode, gray.mode) == ("RGBA", "LA")
    assert np.array_equal(np.asarray(colour)[:, :, 3], alpha)
    assert np.array_equal(np.asarray(gray)[:, :, 1], alpha)


def test_one_bit_pictures_become_gray():
    bits = np.array([[True, False, True]])
    picture = load_picture(saved(Image.fromarray(bits)))
    assert picture.gray
    assert picture.pixels[0, :, 0].tolist() == [255, 0, 255]


def test_a_transparent_palette_entry_becomes_alpha():
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
    image.putalpha(Image.new("L", (2, 1), 99))
    assert image.mode == "PA"
    assert load_picture(image).mode == "LA"


@pytest.mark.parametrize("colour", [(10, 10, 50), (10, 50, 10), (50, 10, 10)])
def test_a_palette_with_a_colour_is_none_of_gray(colour):
    image = Image.new("P", (1, 1))
    image.putpalette(colour)
    picture = load_picture(image)
    assert picture.mode == "RGB"
    assert tuple(picture.pixels[0, 0]) == colour


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_of_png_becomes_alpha(mode):
    image = Image.new(mode, (2, 1))
    image.putpixel((0, 0), 7 if mode == "L" else (7, 7, 7))
    picture = load_picture(saved(image, transparency=7 if mode == "L" else (7, 7, 7)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.mode == mode + "A"


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
        (b"", "the file is empty"),
        (b"just some text", "not a picture in a known format"),
        (b"\x89VQC" + bytes(60), "is already a .vqc file"),
    ],
)
def test_not_a_picture(data, reason):
    with pytest.raises(UnsupportedImage, match=f"^{re.escape(reason)}$"):
        load_picture(data)


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("MPO", "MPO of 2 pictures, only the first is coded"),
        ("TIFF", "TIFF of 2 pages, only the first is coded"),
        ("WEBP", "animated picture, only the first of 2 frames is coded"),
    ],
)
def test_what_there_is_more_of_is_called_by_its_name(pixels, kind, note):
    image = Image.fromarray(pixels)
    other = Image.fromarray(255 - pixels)
    data = saved(image, kind, save_all=True, append_images=[other])
    assert load_picture(data).notes == (note,)


def test_of_an_icon_the_largest_size_is_coded(pixels):
    image = Image.fromarray(pixels).resize((64, 64))
    picture = load_picture(saved(image, "ICO", sizes=[(16, 16), (32, 32)]))
    assert (picture.width, picture.notes) == (32, ("ICO of 2 sizes, only the largest is coded",))


def test_a_picture_that_is_upright_is_not_copied(pixels, monkeypatch):
    turned = []
    transpose = Image.Image.transpose

    def watched(image: Image.Image, method: Image.Transpose) -> Image.Image:
        turned.append(image)
        return transpose(image, method)

    monkeypatch.setattr(Image.Image, "transpose", watched)
    load_picture(saved(Image.fromarray(pixels)))
    load_picture(saved(Image.fromarray(pixels), exif=exif_with(1)))
    assert not turned
    load_picture(saved(Image.fromarray(pixels), exif=exif_with(6)))
    assert len(turned) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_was_made_of_an_image_is_not_turned_again(pixels, kind):
    image = Image.open(io.BytesIO(saved(Image.fromarray(pixels), kind, exif=exif_with(6))))
    assert load_picture(image).width == image.height  # a file's own image, as its file
    by_hand = image.rotate(270, expand=True)
    picture = load_picture(by_hand)
    assert (picture.width, picture.height) == by_hand.size
    assert picture.notes == (
        "an image in memory is taken as it is, though its metadata tells an orientation",
    )
    assert picture.metadata.exif == clean_exif(exif_with(1))


@pytest.mark.parametrize("source", ["array", "image", "file"])
def test_gray_in_three_channels_is_coded_as_gray_and_comes_back_as_rgb(codec, pixels, source):
    equal = np.repeat(pixels[:, :, :1], 3, axis=2)
    image = Image.fromarray(equal)
    sources: dict[str, PictureSource] = {"array": equal, "image": image, "file": saved(image)}
    picture = load_picture(sources[source])
    assert (picture.gray, picture.neutral, picture.mode) == (True, True, "RGB")
    file = codec.compress(equal, quality=20)
    assert probe(file).mode == "RGB"
    back = np.asarray(codec.decompress(file))
    assert back.shape == equal.shape
    assert np.ptp(back, axis=2).max() == 0
    tinted = equal.copy()
    tinted[-1, -1, 2] ^= 1
    assert not load_picture(tinted).gray
    assert codec.decompress(codec.compress(image.convert("L"))).mode == "L"


@pytest.mark.parametrize(
    ("message", "shown"), [("two\n lines", "two lines"), ("", "ZeroDivisionError"), ("x" * 130, "x" * 120)]
)
def test_what_a_decoder_says_is_passed_on_in_one_line(photo, monkeypatch, message, shown):
    def fail(_image):
        raise ZeroDivisionError(message)

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    reason = rf"^damaged or unsupported picture \({shown}\)$"
    with pytest.raises(UnsupportedImage, match=reason):
        load_picture(photo)


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


def test_missing_file_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load_picture(tmp_path / "none.png")
