"""Well-known profiles: FORMAT.md against the code, and what stands in the chunk."""

from __future__ import annotations

import io
import re
import struct
import zlib

import pytest
from PIL import ImageCms

from tests.bitstream.test_format import PAGE, tables
from vqcodec.bitstream import pack_metadata, parse, unpack_metadata, write
from vqcodec.bitstream.payloads import well_known
from vqcodec.bitstream.profiles import PROFILES, profile_bytes, profile_number
from vqcodec.errors import CorruptData, LimitExceeded, UnsupportedVersion
from vqcodec.types import Chunk, Header, Limits

(ROWS,) = tables("Well-known profiles")


def numbers_after(words: str) -> list[int]:
    """The numbers of a list that the page gives after these words."""
    found = re.search(re.escape(words) + r"((?:[,\s]*-?\d+)+)", PAGE)
    assert found, words
    return [int(number) for number in re.findall(r"-?\d+", found[1])]


D50 = numbers_after("white D50 = (")


def by_the_page(row: list[str]) -> bytes:
    """The profile of a row of the table, as the page tells; shares no code with the package."""
    _, name, *columns, curve, _, _ = row
    gray = columns == ["-"] * 3
    if curve == "sRGB":
        curve_tag = b"para" + struct.pack(">IHH5i", 0, 3, 0, *numbers_after("`u16` 3 and 0, and as `i32`"))
    else:
        curve_tag = b"curv" + struct.pack(">IIH", 0, 1, int(curve.removeprefix("power ")))

    def text(words: str) -> bytes:
        coded = words.encode("utf-16-be")
        return b"mluc" + struct.pack(">III", 0, 1, 12) + b"enUS" + struct.pack(">II", len(coded), 28) + coded

    def xyz(*values: int) -> bytes:
        return b"XYZ " + struct.pack(">I3i", 0, *values)

    tags = [(b"desc", text(name)), (b"cprt", text("CC0")), (b"wtpt", xyz(*D50))]
    if gray:
        tags.append((b"kTRC", curve_tag))
    else:
        tags.append(
            (b"chad", b"sf32" + struct.pack(">I9i", 0, *numbers_after("`sf32`, `u32` 0, and as `i32`")))
        )
        numbers = [xyz(*map(int, column.split())) for column in columns]
        tags += zip((b"rXYZ", b"gXYZ", b"bXYZ"), numbers, strict=True)
        tags += [(name, curve_tag) for name in (b"rTRC", b"gTRC", b"bTRC")]
    data = bytearray(128 + 4 + 12 * len(tags))
    for index, (signature, tag) in enumerate(tags):
        first = next(at for at, (_, other) in enumerate(tags) if other == tag)
        if first == index:
            place = len(data)
            data += tag + bytes(-len(tag) % 4)
        else:
            (place,) = struct.unpack_from(">I", data, 136 + 12 * first)
        struct.pack_into(">4sII", data, 132 + 12 * index, signature, place, len(tag))
    struct.pack_into(">I", data, 128, len(tags))
    for at, field in (
        (0, struct.pack(">I", len(data))),
        (8, bytes((4, 0x30))),
        (12, b"mntr"),
        (16, b"GRAY" if gray else b"RGB "),
        (20, b"XYZ "),
        (24, struct.pack(">6H", 2026, 1, 1, 0, 0, 0)),
        (36, b"acsp"),
        (68, struct.pack(">3I", *D50)),
    ):
        data[at : at + len(field)] = field
    return bytes(data)


def test_profiles_are_those_of_the_page():
    assert [int(row[0]) for row in ROWS] == list(PROFILES)
    for row in ROWS:
        number, made = int(row[0]), by_the_page(row)
        assert profile_bytes(number) == made, row[1]
        assert PROFILES[number].name == row[1]
        assert PROFILES[number].gray == (row[2] == "-")
        assert (len(made), f"`{zlib.crc32(made):08X}`") == (int(row[-2]), row[-1])


@pytest.mark.parametrize("number", PROFILES)
def test_littlecms_reads_them(number):
    found = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes(number))).profile
    assert found.profile_description == PROFILES[number].name
    assert found.xcolor_space.strip() == ("GRAY" if PROFILES[number].gray else "RGB")
    assert found.version == pytest.approx(4.3)
    if not PROFILES[number].gray:
        assert found.media_white_point_temperature is None or found.media_white_point_temperature > 4900
        assert found.is_matrix_shaper


def test_the_number_of_a_profile():
    for number in PROFILES:
        assert profile_number(profile_bytes(number)) == number
    assert profile_number(profile_bytes(1)[:-1]) is None
    assert profile_number(b"") is None


@pytest.mark.parametrize("number", PROFILES)
def test_a_well_known_profile_is_two_bytes(number):
    raw = profile_bytes(number)
    chunk = pack_metadata("iCCP", raw)
    assert chunk.data == bytes((2, number))
    assert unpack_metadata(chunk) == raw
    assert well_known(chunk) == PROFILES[number].name
    header = Header(9, 9, 0, bytes(8), gray=PROFILES[number].gray)
    assert parse(write(header, [[b"AAAA", b""]], [chunk])).chunks == (chunk,)
    assert unpack_metadata(chunk, Limits(metadata=len(raw))) == raw
    with pytest.raises(LimitExceeded):
        unpack_metadata(chunk, Limits(metadata=len(raw) - 1))
    for kind in ("eXIF", "xMPd"):  # only a profile has a number
        assert pack_metadata(kind, raw).data[0] in (0, 1)
        assert well_known(Chunk(kind, chunk.data)) is None
        with pytest.raises(CorruptData):
            unpack_metadata(Chunk(kind, chunk.data))


def file_with(payload: bytes, gray: bool = False, kind: bytes = b"iCCP") -> bytes:
    """A file with a chunk that `write` would not write."""
    placeholder = Chunk(kind.decode(), bytes((0, *payload[1:])))
    good = write(Header(9, 9, 0, bytes(8), gray=gray), [[b"AAAA", b""]], [placeholder])
    start = good.index(kind)
    old = zlib.crc32(placeholder.data, zlib.crc32(kind)).to_bytes(4, "little")
    new = zlib.crc32(payload, zlib.crc32(kind)).to_bytes(4, "little")
    assert good[start + 5 :].startswith(placeholder.data + old)
    return good.replace(placeholder.data + old, payload + new)


def test_numbers_fit_the_picture_and_nothing_follows_them():
    assert parse(file_with(b"\2\1")).chunks == (Chunk("iCCP", b"\2\1"),)
    assert parse(file_with(b"\2\5", gray=True)).chunks == (Chunk("iCCP", b"\2\5"),)
    for payload, gray, error, reason in (
        (b"\2\1", True, CorruptData, "a colour profile for gray"),
        (b"\2\4", False, CorruptData, "a gray one for colour"),
        (b"\2\1\1", False, CorruptData, "more than the number"),
        (b"\2\0", False, UnsupportedVersion, "unknown colour profile"),
        (b"\2\7", False, UnsupportedVersion, "unknown colour profile"),
        (b"\2\xff", True, UnsupportedVersion, "unknown colour profile"),
        (b"\3\1", False, CorruptData, "unknown method 3"),
    ):
        with pytest.raises(error, match=reason):
            parse(file_with(payload, gray))
        with pytest.raises(ValueError, match="iCCP"):
            write(Header(9, 9, 0, bytes(8), gray=gray), [[b"AAAA", b""]], [Chunk("iCCP", payload)])
    for kind in (b"eXIF", b"xMPd"):
        with pytest.raises(CorruptData, match="unknown method 2"):
            parse(file_with(b"\2\1", kind=kind))
    for payload in (b"\2", b"\2\0", b"\2\7", b"\2\1\1", b"\3\1"):
        assert well_known(Chunk("iCCP", payload)) is None
        with pytest.raises(CorruptData, match="unknown method"):
            unpack_metadata(Chunk("iCCP", payload))
