"""ICC, EXIF and XMP blocks of a picture: which are kept, and the orientation reset to 1."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests.image.samples import SRGB, exif_with, saved
from vqcodec.image.exif import clean_exif
from vqcodec.image.metadata import KINDS, Metadata, parse_kinds
from vqcodec.image.picture import load_picture
from vqcodec.image.xmp import clean_xmp
from vqcodec.types import Limits

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6" a="b"/></x:xmpmeta>'


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


def test_clean_xmp_sets_the_orientation_to_1():
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


def test_a_block_of_exactly_the_limit_is_kept_and_one_byte_more_dropped(pixels):
    data = saved(Image.fromarray(pixels), icc_profile=SRGB)
    kinds = KINDS | {"exact"}
    exact = load_picture(data, metadata=kinds, limits=Limits(metadata=len(SRGB)))
    assert (exact.metadata.icc, exact.notes) == (SRGB, ())
    over = load_picture(data, metadata=kinds, limits=Limits(metadata=len(SRGB) - 1))
    assert over.metadata.icc is None
    assert over.notes == (f"icc block of {len(SRGB)} bytes is over the limit, dropped",)
    assert load_picture(data, metadata=kinds, limits=Limits(metadata=0)).metadata.icc == SRGB


def test_blocks_of_a_picture_in_memory_are_taken_as_pillow_gives_them(pixels):
    image = Image.fromarray(pixels)
    for given, kept in (("<x/>", b"<x/>"), (b"<y/>", b"<y/>"), (b"", None)):
        image.info["xmp"] = given
        assert load_picture(image).metadata.xmp == kept
    assert load_picture(saved(Image.fromarray(pixels), "TIFF")).metadata == Metadata()


def directory(*entries: bytes, count: int | None = None, start: int = 8, front: bytes = b"") -> bytes:
    """A little-endian EXIF block: its header, and at once, or after `front`, a directory that ends it."""
    number = len(entries) if count is None else count
    return b"II*\0" + struct.pack("<I", start) + front + struct.pack("<H", number) + b"".join(entries)


TURNED = struct.pack("<HHII", 0x0112, 3, 1, 6)
UPRIGHT = struct.pack("<HHII", 0x0112, 3, 1, 1)
OTHER = struct.pack("<HHII", 0x0100, 4, 1, 6)


def test_the_orientation_is_found_to_the_last_byte_and_no_further():
    assert clean_exif(directory(TURNED)) == directory(UPRIGHT)
    assert clean_exif(directory(OTHER, TURNED)) == directory(OTHER, UPRIGHT)
    assert clean_exif(directory(TURNED, count=0xFFFF)) == directory(UPRIGHT, count=0xFFFF)
    assert clean_exif(b"II*\0\x08\0\0\0") == b"II*\0\x08\0\0\0"
    assert clean_exif(b"II*\0\x08\0\0") is None
    unchanged = [
        directory(TURNED)[:-3],  # its value is cut off
        directory(TURNED, count=0),
        directory(OTHER, TURNED, count=1),
        directory(bytes(4) + TURNED[:8], TURNED[8:] + bytes(8)),  # across two entries
        directory(TURNED, start=2**32 - 14),  # counted from the end, if it were signed
    ]
    assert [clean_exif(block) for block in unchanged] == unchanged


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [
        ("all", KINDS),
        ("none", set()),
        ("icc, EXIF", {"icc", "exif"}),
        (["xmp"], {"xmp"}),
        ([], set()),
        ("exact", KINDS | {"exact"}),
        ("all,exact", KINDS | {"exact"}),
        ("exact,icc", {"icc", "exact"}),
        (frozenset({"exif", "exact"}), {"exif", "exact"}),
    ],
)
def test_parse_kinds(choice, kinds):
    assert parse_kinds(choice) == kinds


@pytest.mark.parametrize(
    "choice", ["", "all,icc", "gps", ["none", "icc"], "none,exact", "exact,all,icc", "exact,gps"]
)
def test_parse_kinds_refuses(choice):
    with pytest.raises(ValueError, match="metadata must be"):
        parse_kinds(choice)
