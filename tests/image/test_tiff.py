"""EXIF directories of TIFF files: kept in reading, added in writing."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests.image.samples import saved
from vqcodec.image.metadata import EXACT, KINDS, Metadata
from vqcodec.image.picture import load_picture
from vqcodec.image.saving import encode_image
from vqcodec.image.tiff import add_exif

DATE, PLACE = "2020:01:01 00:00:00", (48.0, 51.0, 24.0)


def camera(order: str = ">") -> bytes:
    """What a camera writes: texts, a date, a place, a note of its maker."""
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F] = "Make"
    exif[0x0112] = 1
    exif[0x011A] = 300.0
    inner = exif.get_ifd(0x8769)
    inner.update({0x9003: DATE, 0x829A: 0.004, 0x8827: 800, 0x927C: b"note of the maker"})
    exif.get_ifd(0x8825).update({1: "N", 2: PLACE, 5: b"\1"})
    return exif.tobytes().removeprefix(b"Exif\0\0")


def found(block: bytes | None) -> tuple[object, ...]:
    """What matters of an EXIF block."""
    assert block is not None
    exif = Image.Exif()
    exif.load(block)
    inner, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    return exif[0x010F], inner[0x9003], float(inner[0x829A]), inner[0x8827], inner[0x927C], place[1], place[2]


WANTED = ("Make", DATE, 0.004, 800, b"note of the maker", "N", PLACE)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("xmp", [None, b"<x/>"])
def test_a_camera_s_exif_goes_into_tiff_and_comes_out_again(pixels, order, xmp):
    image = Image.fromarray(pixels)
    image.info["exif"] = b"Exif\0\0" + camera(order)
    if xmp:
        image.info["xmp"] = xmp
    data, notes = encode_image(image, "TIFF")
    assert notes == ()
    picture = load_picture(data, metadata=KINDS | {EXACT})
    assert picture.notes == ()
    assert np.array_equal(picture.pixels, pixels)
    assert found(picture.metadata.exif) == WANTED
    assert picture.metadata.xmp == xmp


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "jpeg"])
def test_directories_of_any_tiff_are_kept(pixels, compression):
    data = add_exif(saved(Image.fromarray(pixels), "TIFF", compression=compression), camera())
    picture = load_picture(data, metadata=KINDS | {EXACT})
    assert found(picture.metadata.exif) == WANTED
    erased = picture.metadata.without_gps().exif
    assert erased is not None
    assert struct.pack(">II", 51, 1) not in erased


def test_a_damaged_block_is_dropped_with_a_note(pixels):
    for block in (camera()[:60], b"MM\0*\0\0\0\xff", b"junk"):
        image = Image.fromarray(pixels)
        image.info["exif"] = b"Exif\0\0" + block
        data, notes = encode_image(image, "TIFF")
        assert notes == ("exif block cannot be read, dropped",)
        assert np.array_equal(load_picture(data).pixels, pixels)


def test_directories_within_each_other_end():
    loop = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 0)
    with_loop = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0xA005, 4, 1, 8, 0)
    tiff = saved(Image.new("L", (8, 8)), "TIFF")
    add_exif(tiff, loop)
    add_exif(tiff, with_loop)
    for end in range(len(camera())):
        try:
            add_exif(tiff, camera()[:end])
        except ValueError:
            continue


def test_tags_of_the_file_s_own_layout_are_no_metadata(pixels):
    assert load_picture(saved(Image.fromarray(pixels), "TIFF")).metadata == Metadata()


# -- samples that Pillow leaves as they are stored ----------------------------------------------
def tiff(values: np.ndarray, bits: int, photometric: int, form: int = 1, order: str = "<") -> bytes:
    """A gray TIFF of one strip."""
    height, width = values.shape
    body = values.tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 134)]
    tags += [(277, 1), (278, height), (279, len(body)), (339, form)]
    directory = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IH", 8, len(tags)) + directory + bytes(4) + body


def test_the_sample_of_this_test_is_where_it_says():
    assert len(tiff(np.zeros((1, 1), np.uint8), 8, 1)) == 135


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize(("kind", "bits", "form", "top"), [("<u2", 16, 1, 65_535), ("<f4", 32, 3, 1)])
def test_white_is_zero_or_not(photometric, kind, bits, form, top):
    values = np.linspace(0, top, 256).reshape(16, 16).astype(kind)
    picture = load_picture(tiff(values, bits, photometric, form))
    ramp = np.arange(256).reshape(16, 16)
    assert np.array_equal(picture.pixels[:, :, 0], ramp if photometric else 255 - ramp)


@pytest.mark.parametrize("photometric", [0, 1])
def test_white_is_zero_of_8_bits_is_turned_over_once(photometric):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = load_picture(tiff(values, 8, photometric))
    assert np.array_equal(picture.pixels[:, :, 0], values if photometric else 255 - values)


def test_white_of_12_bits_is_white():
    values = np.array([[0, 0x800], [0xFFF, 0xFFF]], np.uint16)
    packed = b"".join(
        bytes(((row[0] >> 4) & 0xFF, ((row[0] & 15) << 4) | (row[1] >> 8), row[1] & 0xFF))
        for row in values.tolist()
    )
    data = tiff(np.frombuffer(packed, np.uint8).reshape(2, 3), 12, 1).replace(
        struct.pack("<HHII", 256, 4, 1, 3), struct.pack("<HHII", 256, 4, 1, 2)
    )
    picture = load_picture(data)
    assert picture.pixels[:, :, 0].tolist() == [[0, 128], [255, 255]]
    assert picture.notes[0] == "12-bit samples rounded to 8 bits"
