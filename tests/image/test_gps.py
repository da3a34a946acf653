"""--strip-gps: nothing of the place is left in EXIF or XMP, everything else is."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from vqcodec.image.exif import erase_gps
from vqcodec.image.metadata import Metadata
from vqcodec_cli.main import main

GPS = {1: "N", 2: (52.0, 31.0, 12.345), 3: "E", 4: (13.0, 24.0, 17.5), 29: "2026:11:23"}
XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description exif:GPSLatitude=\"52,31.2N\" tiff:Make='Acme'\n"
    b"  exif:GPSLongitude='13,24.3E'><exif:GPSMapDatum>WGS-84</exif:GPSMapDatum><exif:GPSAltitude/>"
    b"<dc:title>GPS and me</dc:title></rdf:Description></x:xmpmeta>"
)


def exif_with_gps(order: str) -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F] = "Acme"
    exif[0x0132] = "2026:11:23 10:00:00"
    exif.get_ifd(0x8825).update(GPS)
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


@pytest.mark.parametrize(("order", "mark"), [("<", b"II*\0"), (">", b"MM\0*")])
def test_exif_of_either_byte_order_loses_its_gps_directory_only(order, mark):
    block = exif_with_gps(order)
    assert block.startswith(mark)
    read = Image.Exif()
    read.load(block)
    assert read.get_ifd(0x8825)[2] == GPS[2]  # the test's own block is good
    erased = erase_gps(block)
    assert erased is not None
    assert len(erased) == len(block)
    read = Image.Exif()
    read.load(erased)
    assert dict(read.get_ifd(0x8825)) == {}
    assert (read[0x010F], read[0x0132]) == ("Acme", "2026:11:23 10:00:00")
    assert b"2026:11:23\x00" not in erased  # the date of the fix; the picture's own has a time after it
    changed = sum(a != b for a, b in zip(block, erased, strict=True))
    assert changed > 40
    assert erase_gps(erased) == erased


def test_exif_without_gps_is_unchanged():
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    block = exif.tobytes().removeprefix(b"Exif\x00\x00")
    assert erase_gps(block) == block


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_gps_directory_outside_the_block_drops_the_block(order):
    block = exif_with_gps(order)
    place = block.index(struct.pack(order + "HH", 0x8825, 4))
    far = block[: place + 8] + struct.pack(order + "I", 10**6) + block[place + 12 :]
    assert erase_gps(far) is None


@pytest.mark.parametrize("cut", [9, 30, 60, 100])
def test_a_cut_block_is_dropped(cut):
    assert erase_gps(exif_with_gps("<")[:cut]) is None


def block(*entries: bytes, start: int = 26, count: int | None = None, tail: bytes = b"") -> bytes:
    """A little-endian EXIF block whose one entry points to a GPS directory of these entries, and a tail."""
    pointer = struct.pack("<HHHII", 1, 0x8825, 4, 1, start)
    number = struct.pack("<H", len(entries) if count is None else count)
    return b"II*\0\x08\0\0\0" + pointer + bytes(4) + number + b"".join(entries) + tail


def entry(kind: int, number: int, value: int) -> bytes:
    return struct.pack("<HHII", 1, kind, number, value)


def test_values_are_erased_to_the_last_byte_and_inline_ones_are_no_places():
    front = len(block(entry(1, 5, 0)))
    outside = block(entry(1, 5, front), tail=b"value")
    assert erase_gps(outside) == block(count=0, tail=bytes(12 + 5))
    inline = block(entry(4, 1, 10**6), tail=b"kept")
    assert erase_gps(inline) == block(count=0, tail=bytes(12) + b"kept")
    assert erase_gps(block(entry(4, 1, 7))) == block(count=0, tail=bytes(12))


@pytest.mark.parametrize(
    "bad",
    [
        block(entry(1, 5, 40), tail=b"val"),  # the value ends behind the block
        block(entry(1, 8, 2**32 - 8), tail=bytes(20)),  # from the end, if it were signed
        block(entry(1, 2**32 - 1, 30)),
        block(entry(1, 1, 0), count=0xFFFF),
        block(start=2**32 - 2, tail=bytes(20)),
        block(entry(99, 1, 0)),
    ],
)
def test_places_outside_the_block_drop_it(bad):
    assert erase_gps(bad) is None


def test_what_is_not_exif_is_dropped():
    assert erase_gps(b"not exif") is None


def test_xmp_loses_its_gps_properties_only():
    assert Metadata(icc=b"icc").without_gps() == Metadata(icc=b"icc")
    stripped = Metadata(xmp=XMP, icc=b"icc").without_gps()
    assert stripped.icc == b"icc"
    assert stripped.xmp == (
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description tiff:Make='Acme'>"
        b"<dc:title>GPS and me</dc:title></rdf:Description></x:xmpmeta>"
    )


def test_strip_gps_on_the_command_line(tmp_path, models):
    source, file = tmp_path / "x.jpg", tmp_path / "x.vqc"
    image = Image.fromarray(np.full((24, 32, 3), 99, np.uint8))
    image.save(source, exif=b"Exif\x00\x00" + exif_with_gps("<"), xmp=XMP)
    for extra, count in (([], len(GPS)), (["--strip-gps"], 0)):
        assert main(["compress", str(source), "-f", *extra]) == 0
        assert main(["decompress", str(file), "-f", "-o", str(tmp_path / "y.png")]) == 0
        with Image.open(io.BytesIO((tmp_path / "y.png").read_bytes())) as back:
            assert len(back.getexif().get_ifd(0x8825)) == count
            assert back.getexif()[0x010F] == "Acme"
            assert (b"GPSLatitude" in back.info["xmp"]) == bool(count)
