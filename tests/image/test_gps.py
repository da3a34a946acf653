"""--strip-gps: nothing of the place is left in EXIF or XMP, everything else is."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from vqcodec.image.metadata import Metadata, erase_gps
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


def test_what_is_not_exif_is_dropped():
    assert erase_gps(b"not exif") is None


def test_xmp_loses_its_gps_properties_only():
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
