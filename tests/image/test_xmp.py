"""XMP packets: orientation however it is written, places in any namespace, packets cut in two by JPEG."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from PIL import Image

from tests.image.samples import exif_with, saved
from vqcodec.image.metadata import Metadata
from vqcodec.image.picture import load_picture
from vqcodec.image.xmp import Unreadable, clean_xmp, joined, orientation_of, without_place
from vqcodec.types import Limits

TIFF = 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
PLACES = (
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48.8566"',
    'xmlns:e="http://ns.adobe.com/exif/1.0/" e:GPSLatitude="48.8566"',
    "xmlns:drone-dji=\"http://www.dji.com/drone-dji/1.0/\" drone-dji:GpsLongtitude = '48.8566'",
    'xmlns:geo="http://www.w3.org/2003/01/geo/wgs84_pos#" geo:pos="48.8566"',
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:City="48.8566"',
    'xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" Iptc4xmpCore:CountryCode="48.8566"',
)


def packet(attributes: str = "", content: str = "") -> bytes:
    """An XMP packet with one description."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {attributes}>{content}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


@pytest.mark.parametrize(
    ("attributes", "content"),
    [
        (TIFF + ' tiff:Orientation="6"', ""),
        (TIFF + " tiff:Orientation='6'", ""),
        (TIFF + ' tiff:Orientation = "6"', ""),
        (TIFF, "<tiff:Orientation>6</tiff:Orientation>"),
        (TIFF, "<tiff:Orientation>\n 6 </tiff:Orientation>"),
        (TIFF.replace("tiff=", "t=") + ' t:Orientation="6"', ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_pixels_are_turned_as_xmp_says_and_the_tag_becomes_1(attributes, content, encoding):
    block = packet(attributes, content).decode().encode(encoding)
    picture = load_picture(saved(Image.new("RGB", (48, 64)), "WEBP", xmp=block))
    assert (picture.width, picture.height) == (64, 48)
    assert picture.metadata.xmp is not None
    assert orientation_of(picture.metadata.xmp) == 1
    if encoding == "utf-8":
        assert len(picture.metadata.xmp) <= len(block)


def test_exif_counts_before_xmp_and_both_become_1():
    block = packet(TIFF + ' tiff:Orientation="6"')
    data = saved(Image.new("RGB", (48, 64)), "JPEG", xmp=block, exif=exif_with(3))
    picture = load_picture(data)
    assert picture.width == 48
    assert picture.metadata.xmp == block.replace(b'"6"', b'"1"')
    tiff = load_picture(saved(Image.new("RGB", (48, 64)), "TIFF", tiffinfo={274: 6, 700: block}))
    assert tiff.width == 64  # once, though both say so
    assert tiff.metadata.xmp is not None
    assert orientation_of(tiff.metadata.xmp) in (1, None)


@pytest.mark.parametrize(
    "block",
    [
        b'<x tiff:Orientation="6"',
        b'<!DOCTYPE x [<!ENTITY a "b">]><x tiff:Orientation="6"/>',
        b"\xff\xfe<\0x\0",
        b"<x>" + b"<a/>" * 250_000 + b'<b tiff:Orientation="6"/></x>',
    ],
)
def test_what_cannot_be_read_turns_nothing_and_stays(block):
    assert orientation_of(block) is None
    assert clean_xmp(block, turned=False) == block
    assert without_place(block) is None


def test_what_cannot_be_read_does_not_turn_upright_pixels_again():
    assert clean_xmp(b'<x tiff:Orientation="6"', turned=True) == b'<x tiff:Orientation="1"'


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_places_of_any_namespace_are_left_out_and_nothing_else(place, encoding):
    block = packet(place + ' a:kept="gps"', "<dc:title>48.8 km</dc:title>")
    stripped = Metadata(xmp=block.decode().encode(encoding)).without_gps().xmp
    assert stripped is not None
    assert b"48.8566" not in stripped
    rest = re.sub(rb"\s[\w-]+:(GPSL|GpsL|pos|City|CountryC)\w*\s*=\s*(\"|')48.8566(\"|')", b"", block)
    assert stripped == rest


@pytest.mark.parametrize("name", ["exif:GPSAltitude", "Iptc4xmpExt:LocationShown", "photoshop:Country"])
def test_elements_that_tell_a_place_go_with_all_that_is_in_them(name):
    inner = f"<{name}><rdf:Bag><rdf:li b:c='48.8566'>48.8566</rdf:li></rdf:Bag></{name}>"
    assert without_place(packet(content="<a:b/>" + inner)) == packet(content="<a:b/>")


def test_packets_without_a_place_are_unchanged():
    block = packet('crs:LensProfile="x" mwg-rs:Geometry="y"', "<a:Capacity>5</a:Capacity>\n") + bytes(5)
    assert without_place(block) == block


# -- extensions --------------------------------------------------------------------------------
NAME = b"0123456789ABCDEF" * 2
NOTE = f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{NAME.decode()}" a:b="c"'


def jpeg_with(main: bytes, extension: bytes, *, without: int | None = None, name: bytes = NAME) -> bytes:
    """A JPEG with a packet and its extension in segments of 30 000 bytes."""
    parts = [b"http://ns.adobe.com/xap/1.0/\0" + main]
    for at in reversed(range(0, len(extension), 30_000)):  # the order is free
        if at != without:
            head = b"http://ns.adobe.com/xmp/extension/\0" + name + struct.pack(">II", len(extension), at)
            parts.append(head + extension[at : at + 30_000])
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    jpeg = saved(Image.fromarray(np.zeros((8, 8, 3), np.uint8)), "JPEG")
    return jpeg[:2] + segments + jpeg[2:]


def test_an_extension_is_joined_to_its_packet():
    extension = packet("c:depth='" + "d" * 70_000 + "'").removeprefix(b"<?xpacket").partition(b"?>")[2]
    picture = load_picture(jpeg_with(packet(NOTE), extension))
    assert picture.notes == ()
    kept = picture.metadata.xmp
    assert kept is not None
    assert len(kept) > 70_000
    assert b"HasExtendedXMP" not in kept
    assert kept.count(b"<rdf:Description") == 2
    assert clean_xmp(kept) == kept
    assert without_place(kept) == kept


@pytest.mark.parametrize(
    ("extension", "options", "limits"),
    [
        (b"<x>" + b"e" * 80_000 + b"</x>", {}, Limits()),
        (packet("d" * 10), {"name": b"F" * 32}, Limits()),
        (packet('c:d="' + "d" * 80_000 + '"'), {"without": 30_000}, Limits()),
        (packet('c:d="' + "d" * 80_000 + '"'), {}, Limits(metadata=70_000)),
        (b"", {}, Limits()),
    ],
)
def test_an_extension_that_cannot_be_joined_is_told_of(extension, options, limits):
    picture = load_picture(jpeg_with(packet(NOTE), extension, **options), limits=limits)
    assert picture.notes == ("the extension of the XMP block cannot be read, not kept",)
    assert picture.metadata.xmp is not None
    assert b"HasExtendedXMP" not in picture.metadata.xmp
    assert b'a:b="c"' in picture.metadata.xmp


def test_namespaces_around_the_descriptions_are_not_lost_in_joining():
    other = packet().replace(b"<rdf:RDF ", b'<rdf:RDF xmlns:q="r" ')
    with pytest.raises(Unreadable):
        joined(packet(), other)
