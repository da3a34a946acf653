"""EXIF and XMP lose thumbnails, maker notes and padding, nothing else, and only where that is safe."""

from __future__ import annotations

import io
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.image.samples import saved
from vqcodec.image.compact import compact_exif, compact_xmp
from vqcodec.image.metadata import KINDS
from vqcodec.image.picture import load_picture

NOTE = "maker notes of EXIF left out; metadata exact keeps them"


def field(order: str, tag: int, kind: int, count: int, value: bytes | int) -> bytes:
    """An entry: `value` in place, or an offset."""
    last = value.ljust(4, b"\0") if isinstance(value, bytes) else struct.pack(order + "I", value)
    return struct.pack(order + "HHI", tag, kind, count) + last


def directory(order: str, entries: list[bytes], following: int = 0) -> bytes:
    return struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", following)


def camera_exif(
    order: str, maker_note: bytes = b"secret" * 500, thumbnail: bytes = b"\xff\xd8jpeg" * 900
) -> bytes:
    """What a camera writes: maker, orientation, time, lens, notes of its own, GPS, a thumbnail, padding."""

    def number(value: int) -> bytes:
        return struct.pack(order + "H", value)

    # Values first, in the order of this list; then the directories, which have to know where these are.
    values = [
        b"A maker\0",
        b"2026:11:29 10:00:00\0",
        b"A lens of 50 mm\0",
        maker_note,
        struct.pack(order + "6I", 52, 1, 31, 1, 12, 1),
        thumbnail,
        bytes(2060),
    ]
    at = [8 + sum(len(value) for value in values[:index]) for index in range(len(values) + 1)]
    interop_at = at[-1]
    interop = directory(order, [field(order, 1, 2, 4, b"R98\0")])
    gps_at = interop_at + len(interop)
    gps = directory(order, [field(order, 1, 2, 2, b"N\0"), field(order, 2, 5, 3, at[4])])
    sub_at = gps_at + len(gps)
    sub = directory(
        order,
        [
            field(order, 0x9003, 2, len(values[1]), at[1]),
            field(order, 0x927C, 7, len(maker_note), at[3]),
            field(order, 0xA005, 4, 1, interop_at),
            field(order, 0xA434, 2, len(values[2]), at[2]),
            field(order, 0xEA1C, 7, len(values[6]), at[6]),
            field(order, 0xEA1D, 9, 1, 12),
        ],
    )
    thumbnail_at = sub_at + len(sub)
    small = directory(order, [field(order, 0x0201, 4, 1, at[5]), field(order, 0x0202, 4, 1, len(thumbnail))])
    first_at = thumbnail_at + len(small)
    first = directory(
        order,
        [
            field(order, 0x010F, 2, len(values[0]), at[0]),
            field(order, 0x0112, 3, 1, number(1)),
            field(order, 0x8769, 4, 1, sub_at),
            field(order, 0x8825, 4, 1, gps_at),
            field(order, 0xC4A5, 7, 24, at[4]),
        ],
        thumbnail_at,
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", first_at) + b"".join([*values, interop, gps, sub, small, first])


def told(block: bytes) -> dict[tuple[int, int], object]:
    """What Pillow reads in a block, but pointers."""
    exif = Image.Exif()
    exif.load(block)
    found = {0: dict(exif), **{ifd: exif.get_ifd(ifd) for ifd in (0x8769, 0x8825, 0xA005)}}
    pointers = (0x8769, 0x8825, 0xA005)
    return {
        (ifd, tag): value for ifd, tags in found.items() for tag, value in tags.items() if tag not in pointers
    }


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_cameras_exif_keeps_what_people_use(order):
    block, notes = camera_exif(order), list[str]()
    before = told(block)
    assert before[0x8769, 0x927C] == b"secret" * 500  # the test's own block is good
    compacted = compact_exif(block, notes)
    assert len(compacted) < 320
    assert notes == [NOTE]
    gone = {(0x8769, 0x927C), (0x8769, 0xEA1C), (0x8769, 0xEA1D), (0, 0xC4A5)}
    assert told(compacted) == {key: value for key, value in before.items() if key not in gone}
    assert len(told(compacted)) == 7
    assert b"secret" not in compacted
    assert b"jpeg" not in compacted
    exif = Image.Exif()
    exif.load(compacted)
    assert not exif.get_ifd(1)
    again = list[str]()
    assert compact_exif(compacted, again) == compacted
    assert again == []


def test_no_note_without_maker_notes():
    notes = list[str]()
    assert compact_exif(small(PADDING, GOOD, tail=bytes(100)), notes) == small(GOOD)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    plain = exif.tobytes().removeprefix(b"Exif\0\0")
    assert compact_exif(plain, notes) is plain
    assert compact_exif(plain + bytes(50), notes) == plain
    assert notes == []


def small(*entries: bytes, tail: bytes = b"", start: int = 8) -> bytes:
    """A little-endian block of one directory."""
    return b"II*\0" + struct.pack("<I", start) + directory("<", list(entries)) + tail


PADDING = field("<", 0xEA1C, 7, 100, 38)
GOOD = field("<", 0x010F, 2, 3, b"me\0")


def test_the_directory_is_written_to_the_byte():
    text = field("<", 0x010E, 2, 5, 26 + 12)
    block = small(text, PADDING, tail=b"four\0" + bytes(100))
    assert compact_exif(block, []) == small(field("<", 0x010E, 2, 5, 26), tail=b"four\0\0")
    assert compact_exif(small(PADDING, GOOD, tail=bytes(100)), []) == small(GOOD)


@pytest.mark.parametrize(
    "entry",
    [
        field("<", 0x014A, 4, 1, 8),  # further directories
        field("<", 0x0111, 4, 1, 8),
        field("<", 0x0144, 4, 1, 8),
        field("<", 0x0190, 13, 1, 8),
        field("<", 0x0201, 4, 1, 8),
        field("<", 0x010E, 14, 1, 8),  # an unknown type
        field("<", 0x010E, 2, 200, 8),  # behind the end
        field("<", 0x010E, 2, 50, 130),
        field("<", 0x010E, 2, 8, 2**32 - 4),
        field("<", 0x010E, 12, 2**31, 8),
        field("<", 0x8769, 4, 1, 8),  # a directory within itself
        field("<", 0x8769, 4, 2, 8),
        field("<", 0x8769, 3, 1, b"\x08\0"),
        field("<", 0x8825, 4, 1, 100_000),
    ],
)
def test_what_cannot_be_followed_stays(entry):
    notes = list[str]()
    block = small(field("<", 0x927C, 7, 4, b"note"), PADDING, GOOD, entry, tail=bytes(100))
    assert compact_exif(block, notes) is block
    assert notes == []


def test_what_is_no_exif_stays():
    for block in (b"", b"II*\0", b"junk" * 20, small(GOOD, start=2**32 - 1), small(GOOD, PADDING)[:28]):
        assert compact_exif(block, []) is block


def test_values_that_overlap_are_not_multiplied():
    block = small(*[field("<", 0x1000 + at, 7, 60_000, 8) for at in range(6000)])
    assert compact_exif(block, []) is block
    once = small(*[field("<", 0x1000 + at, 7, 60, 8) for at in range(2)], tail=bytes(200))
    assert len(compact_exif(once, [])) == 8 + 2 + 24 + 4 + 120


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8), st.sampled_from(["<", ">"]))
def test_damage_never_raises(place, junk, order):
    block = camera_exif(order, b"note" * 100, b"thumbnail" * 20)
    place = place % len(block)
    compact_exif(block[:place] + junk + block[place + len(junk) :], [])
    compact_exif(block[:place], [])


def test_xmp_loses_thumbnails_and_padding():
    front = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta><rdf:RDF>'
    image = b"<rdf:Alt><rdf:li><xmpGImg:image>/9j/4AAQ</xmpGImg:image></rdf:li></rdf:Alt>\n"
    image = b"\n  <xmp:Thumbnails>\n" + image + b"</xmp:Thumbnails>"
    back = b"\n<dc:title>xmp Thumbnails</dc:title></rdf:RDF></x:xmpmeta>"
    end = b'<?xpacket end="w"?>'
    assert (
        compact_xmp(front + image + back + b"\n" + (b" " * 100 + b"\n") * 20 + end)
        == front + back + b"\n" + end
    )
    assert compact_xmp(front + image + b"<a/>" + image + back) == front + b"<a/>" + back
    for block in (
        front + back,
        front + back + b"\n" + end,
        front + back + end,
        back + b"   ",
        b"",
        front + image[:60],
        "XMP".encode("utf-16"),
    ):
        assert compact_xmp(block) == block


def test_long_packets_take_no_time_to_speak_of():
    start = time.perf_counter()
    for block in (b" " * 3_000_000 + b"<", b"<xmp:Thumbnails>" * 200_000, b"</xmp:Thumbnails>" * 200_000):
        assert compact_xmp(block) == block
    pairs = b"<xmp:Thumbnails>x</xmp:Thumbnails>" * 100_000
    assert compact_xmp(pairs + b"end") == b"end"
    assert time.perf_counter() - start < 5


def test_exact_keeps_every_byte_of_a_file(pixels):
    exif = camera_exif("<")
    xmp = b'<x:xmpmeta/>   <?xpacket end="w"?>'
    data = saved(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0" + exif, xmp=xmp)
    exact = load_picture(data, metadata=KINDS | {"exact"})
    assert (exact.metadata.exif, exact.metadata.xmp, exact.notes) == (exif, xmp, ())
    usual = load_picture(data)
    assert usual.metadata.exif == compact_exif(exif, [])
    assert usual.metadata.xmp == b'<x:xmpmeta/>\n<?xpacket end="w"?>'
    assert usual.notes == (NOTE,)
    assert load_picture(data, metadata=frozenset({"xmp"})).notes == ()  # of EXIF nothing was asked for
    assert load_picture(io.BytesIO(data), metadata=frozenset({"exif", "exact"})).metadata.exif == exif
