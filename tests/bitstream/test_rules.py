"""Files with right checksums that break a rule, announce too much, or come from the future."""

from __future__ import annotations

import re
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from vqcodec.bitstream import parse, probe, write
from vqcodec.bitstream.fields import encode_varint
from vqcodec.errors import CorruptData, FormatError, LimitExceeded, Truncated, UnsupportedVersion
from vqcodec.types import Chunk, Header, Limits

ID = bytes(8)
OPEN = Limits(pixels=0, side=0, tiles=0, metadata=0)
RawChunk = tuple[bytes, bytes]


def le32(value: int) -> bytes:
    return value.to_bytes(4, "little")


BODY = b"AAAA" + le32(zlib.crc32(b"AAAA")) + b"BBBB" + le32(zlib.crc32(b"BBBB"))


def craft(
    *,
    major: int = 1,
    minor: int = 0,
    critical: int | None = None,
    ignorable: int = 0,
    width: bytes | int = 64,
    height: bytes | int = 64,
    level: int = 126,
    colour: int = 0,
    tile: bytes | int = 16,
    coder: int = 1,
    chunks: list[RawChunk] | None = None,
    count: bytes | None = None,
    toc: bytes = b"\x01\x01",
    body: bytes = BODY,
) -> bytes:
    """Build a file without the library's writer, every checksum right, each part free to be wrong."""

    def number(value: bytes | int) -> bytes:
        return value if isinstance(value, bytes) else encode_varint(value)

    bits = (1 if chunks else 0) if critical is None else critical
    front = b"\x89VQC" + bytes((major, minor, bits, ignorable)) + ID + number(width) + number(height)
    front += bytes((level, colour)) + number(tile) + bytes((coder,))
    if count is not None or chunks:
        front += encode_varint(len(chunks or [])) if count is None else count
    middle = b"".join(k + encode_varint(len(p)) + p + le32(zlib.crc32(k + p)) for k, p in chunks or [])
    return front + middle + toc + le32(zlib.crc32(front + toc)) + body


def refuse(data: bytes, error: type[FormatError], message: str, limits: Limits = Limits()) -> None:
    for call in (parse, probe):
        with pytest.raises(error, match=message):
            call(data, limits)


def test_the_crafted_file_is_right_when_nothing_is_changed() -> None:
    assert craft() == write(Header(64, 64, 126, ID), [[b"AAAA", b"BBBB"]])
    chunks = [(b"mODL", b"tiny"), (b"zzzz", b"")]
    expected = [Chunk("mODL", b"tiny"), Chunk("zzzz", b"")]
    assert craft(chunks=chunks) == write(Header(64, 64, 126, ID), [[b"AAAA", b"BBBB"]], expected)


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n", b"V", b"GIF89a", b"\x89VQD" + craft()[4:], b"\x00" * 99]
)
def test_another_kind_of_file_is_not_called_truncated(data: bytes) -> None:
    refuse(data, CorruptData, r"^this is not a \.vqc file$")


def test_no_bytes_at_all_are_called_empty() -> None:
    refuse(b"", Truncated, "^the file is empty$")


@pytest.mark.parametrize("size", range(1, 5))
def test_a_start_of_the_magic_is_truncated(size: int) -> None:
    refuse(craft()[:size], Truncated, "^(magic|major version) at offset [04]: ")


@pytest.mark.parametrize("major", [0, 2, 255])
def test_another_major_version_is_refused_whatever_follows(major: int) -> None:
    refuse(craft(major=major), UnsupportedVersion, f"^major version at offset 4: {major} is not supported")
    refuse(craft(major=major)[:5], UnsupportedVersion, "major version")


@pytest.mark.parametrize("minor", [1, 255])
@pytest.mark.parametrize("ignorable", [0, *(1 << bit for bit in range(8)), 255])
def test_later_minor_versions_and_ignorable_flags_are_read_and_kept(minor: int, ignorable: int) -> None:
    data = craft(minor=minor, ignorable=ignorable)
    parsed = parse(data)
    assert (parsed.header.minor, parsed.header.ignorable) == (minor, ignorable)
    assert write(parsed.header, parsed.segments, parsed.chunks) == data


def test_the_tune_is_bit_1_of_the_critical_flags() -> None:
    for critical, tune in ((0, "eyes"), (2, "psnr")):
        header = Header(64, 64, 126, ID, tune=tune)
        assert craft(critical=critical) == write(header, [[b"AAAA", b"BBBB"]])
        assert parse(craft(critical=critical)).header == header
    with pytest.raises(ValueError, match=r"^tune must be eyes or psnr, not 'fast'$"):
        write(Header(64, 64, 126, ID, tune="fast"), [[b"AAAA", b"BBBB"]])


@pytest.mark.parametrize("bit", range(4, 8))
def test_unknown_critical_flags_are_refused_by_number(bit: int) -> None:
    refuse(craft(critical=1 << bit), UnsupportedVersion, f"^critical flags at offset 6: bit {bit} ")
    refuse(craft(critical=1 << bit | 128), UnsupportedVersion, f"^critical flags at offset 6: bit {bit} ")


@pytest.mark.parametrize("bit", range(2, 8))
def test_reserved_colour_bits_are_refused_by_number(bit: int) -> None:
    refuse(craft(colour=1 << bit), UnsupportedVersion, f"^colour at offset 19: bit {bit} ")


@pytest.mark.parametrize("coder", [0, 2, 255])
def test_unknown_coders_are_refused(coder: int) -> None:
    refuse(craft(coder=coder), UnsupportedVersion, f"^coder_id at offset 21: entropy coder {coder} ")


SHORTEST = "the varint is not in its shortest form"
CONTRADICT = "the alpha bit of the colour field and the ALPH chunk contradict each other"
SIZE = "has a payload of {} bytes, which is outside its range"
CONTROL = "contains control characters"
LETTERS = "the type is not four ASCII letters"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 253}, "level at offset 18: 253 is above 252"),
        ({"width": 0}, "width, height at offset 16: 0x64 is empty"),
        ({"height": 0}, "width, height at offset 16: 64x0 is empty"),
        ({"tile": 1024}, "tile at offset 20: 1024 is above 1023"),
        ({"width": b"\xc0\x00"}, f"width at offset 16: {SHORTEST}"),
        ({"height": b"\xc0\x80\x00"}, f"height at offset 17: {SHORTEST}"),
        ({"tile": b"\x80\x00"}, f"tile at offset 20: {SHORTEST}"),
        ({"width": b"\xff\xff\xff\xff\xff\x01"}, "width at offset 16: the varint is longer than 5 bytes"),
        ({"toc": b"\x81\x00\x01"}, f"table of contents at offset 22: {SHORTEST}"),
        ({"toc": b"\x01\x81\x80\x00"}, f"table of contents at offset 23: {SHORTEST}"),
        ({"toc": b"\x00\x01"}, "table of contents at offset 22: the layer 0 segment of tile 0 is empty"),
        (
            {"toc": b"\x01\x80\x80\x80\x80\x04"},
            "table of contents at offset 23: a segment of 1073741824 words is too long",
        ),
        ({"critical": 1, "count": b"\x00"}, "chunk count at offset 22: 0 is not in 1..255"),
        ({"critical": 1, "count": b"\x80\x02"}, "chunk count at offset 22: 256 is not in 1..255"),
        ({"count": b"\x81\x00", "chunks": [(b"zzzz", b"")]}, f"chunk count at offset 22: {SHORTEST}"),
        ({"colour": 2}, f"chunks at offset 22: {CONTRADICT}"),
        ({"chunks": [(b"ALPH", b"\x00\x00")]}, f"chunks at offset 23: {CONTRADICT}"),
        (
            {"chunks": [(b"ALPH", b"\x03\x00")], "colour": 2},
            "chunk 'ALPH' at offset 23: uses the unknown method 3",
        ),
        (
            {"chunks": [(b"ALPH", bytes(4166))], "colour": 2},
            "chunk 'ALPH' at offset 23: 4166 bytes are more than this picture's alpha can need",
        ),
        ({"chunks": [(b"ALPH", b"\x00")], "colour": 2}, f"chunk 'ALPH' at offset 23: {SIZE.format(1)}"),
        ({"chunks": [(b"dECD", bytes(7))]}, f"chunk 'dECD' at offset 23: {SIZE.format(7)}"),
        ({"chunks": [(b"dECD", bytes(9))]}, f"chunk 'dECD' at offset 23: {SIZE.format(9)}"),
        ({"chunks": [(b"mODL", b"")]}, f"chunk 'mODL' at offset 23: {SIZE.format(0)}"),
        ({"chunks": [(b"mODL", b"m" * 65)]}, f"chunk 'mODL' at offset 23: {SIZE.format(65)}"),
        ({"chunks": [(b"mODL", b"\xff\xfe")]}, "chunk 'mODL' at offset 23: is not UTF-8"),
        ({"chunks": [(b"mODL", b"\x1b[31m")]}, f"chunk 'mODL' at offset 23: {CONTROL}"),
        ({"chunks": [(b"mODL", b"a\x1f")]}, f"chunk 'mODL' at offset 23: {CONTROL}"),
        ({"chunks": [(b"mODL", b"a\x7f")]}, f"chunk 'mODL' at offset 23: {CONTROL}"),
        ({"chunks": [(b"mODL", "\x9b1m".encode())]}, f"chunk 'mODL' at offset 23: {CONTROL}"),
        ({"chunks": [(b"mODL", "\x9f".encode())]}, f"chunk 'mODL' at offset 23: {CONTROL}"),
        ({"chunks": [(b"iCCP", b"\x00")]}, f"chunk 'iCCP' at offset 23: {SIZE.format(1)}"),
        ({"chunks": [(b"xMPd", b"\x02x")]}, "chunk 'xMPd' at offset 23: uses the unknown method 2"),
        ({"chunks": [(b"a\xc3\xa4b", b"")]}, f"chunk 'a\\\\xc3\\\\xa4b' at offset 23: {LETTERS}"),
        ({"chunks": [(b"ab1d", b"")]}, f"chunk 'ab1d' at offset 23: {LETTERS}"),
        ({"chunks": [(b"\x1b[0m", b"")]}, f"chunk '\\x1b[0m' at offset 23: {LETTERS}"),
    ],
)
def test_broken_rules_name_field_and_offset(change: dict[str, object], message: str) -> None:
    refuse(craft(**change), CorruptData, f"^{re.escape(message)}$")  # type: ignore[arg-type]


def test_payloads_at_their_bounds_are_read() -> None:
    """Of a picture of 64x64: its alpha, and names with the letters beside the control characters."""
    for kind, payload in ((b"ALPH", bytes(4165)), (b"mODL", "~ \xa0".encode()), (b"mODL", b"m" * 64)):
        data = craft(chunks=[(kind, payload)], colour=2 if kind == b"ALPH" else 0)
        assert [chunk.data for chunk in parse(data).chunks] == [payload]


CUTS = (
    (4, "magic", 0),
    (5, "major version", 4),
    (6, "minor version", 5),
    (7, "critical flags", 6),
    (8, "ignorable flags", 7),
    (16, "bitstream_id", 8),
    (17, "width", 16),
    (18, "height", 17),
    (19, "level", 18),
    (20, "colour", 19),
    (21, "tile", 20),
    (22, "coder_id", 21),
    (23, "chunk count", 22),
    (32, "chunks", 23),
    (34, "chunk 'zzzz'", 28),
    (38, "chunk 'zzzz' CRC", 34),
    (44, "table of contents and segments of 1 tiles", 38),
    (45, "table of contents", 44),
    (46, "table of contents", 45),
    (50, "header CRC", 46),
)
"""Data of fewer bytes ends in this field, at this offset."""


def test_wherever_the_front_is_cut_the_field_is_named() -> None:
    data = craft(chunks=[(b"zzzz", b"abcdef")], toc=b"\xff\xff\xff\x7f" * 2)
    assert probe(data).data_offset == CUTS[-1][0]
    for size in range(1, CUTS[-1][0]):
        name, offset = next((name, offset) for end, name, offset in CUTS if size < end)
        with pytest.raises(Truncated, match=f"^{re.escape(name)} at offset {offset}: needs "):
            probe(data[:size])


@pytest.mark.parametrize("kind", ["iCCP", "eXIF", "xMPd", "mODL", "dECD", "ALPH"])
def test_known_chunks_stand_once(kind: str) -> None:
    chunk = (kind.encode(), b"\x00" + b"x" * 7 if kind != "mODL" else b"name")
    colour = 2 if kind == "ALPH" else 0
    assert len(parse(craft(chunks=[chunk], colour=colour)).chunks) == 1
    refuse(
        craft(chunks=[chunk, chunk], colour=colour),
        CorruptData,
        f"'{kind}' stands in the file more than once",
    )
    twice = [Chunk(kind, chunk[1])] * 2
    with pytest.raises(ValueError, match="more than once"):
        write(Header(64, 64, 126, ID, alpha=kind == "ALPH"), [[b"AAAA", b""]], twice)


@pytest.mark.parametrize("kind", ["ABCD", "Zzzz", "ICCP", "PLTE"])
def test_unknown_critical_chunks_are_refused_and_never_written(kind: str) -> None:
    data = craft(chunks=[(kind.encode(), b"x")])
    refuse(data, UnsupportedVersion, f"^chunk '{kind}' at offset 23: unknown critical chunk")
    with pytest.raises(ValueError, match=f"^chunk '{kind}' is critical and unknown$"):
        write(Header(64, 64, 126, ID), [[b"AAAA", b""]], [Chunk(kind, b"x")])
    damaged = bytearray(data)
    damaged[28] ^= 1
    refuse(bytes(damaged), CorruptData, f"^chunk '{kind}' at offset 23: wrong checksum$")


def test_unknown_ancillary_chunks_are_kept_in_order_even_twice() -> None:
    raw = [(b"qqqq", b"1"), (b"iCCP", b"\x00p"), (b"qqqq", b""), (b"aBCD", bytes(300))]
    data = craft(chunks=raw)
    parsed = parse(data)
    assert [(c.type.encode(), c.data) for c in parsed.chunks] == raw
    assert write(parsed.header, parsed.segments, parsed.chunks) == data


def test_the_number_of_chunks_is_bounded() -> None:
    many = [(b"qqqq", b"")] * 255
    assert len(parse(craft(chunks=many)).chunks) == 255
    with pytest.raises(ValueError, match="256 chunks"):
        write(Header(64, 64, 126, ID), [[b"AAAA", b""]], [Chunk("qqqq", b"")] * 256)


@pytest.mark.parametrize("kind", ["abc", "abcde", "ab d", "äbcd", "ab\n1"])
def test_chunk_types_that_are_not_letters_are_not_written(kind: str) -> None:
    with pytest.raises(ValueError, match="not four ASCII letters"):
        write(Header(64, 64, 126, ID), [[b"AAAA", b""]], [Chunk(kind, b"")])


def test_an_alpha_that_no_picture_of_its_size_needs_is_not_written() -> None:
    with pytest.raises(ValueError, match=f"^chunk 'ALPH' {SIZE.format(4166)}$"):
        write(Header(64, 64, 126, ID, alpha=True), [[b"AAAA", b""]], [Chunk("ALPH", bytes(4166))])


def test_damage_before_the_picture_is_told_where_its_checksum_is() -> None:
    data = bytearray(craft())
    data[12] ^= 1
    message = "^header CRC at offset 24: wrong checksum of header and table of contents$"
    refuse(bytes(data), CorruptData, message)


def test_metadata_limit_is_exact_and_does_not_need_the_data() -> None:
    data = craft(chunks=[(b"eXIF", bytes(100))])
    assert parse(data, Limits(metadata=100)).complete
    assert parse(data, Limits(metadata=0)).complete
    refuse(
        data,
        LimitExceeded,
        "'eXIF' at offset 23: 100 bytes exceed the metadata limit of 99",
        Limits(metadata=99),
    )
    assert probe(craft(chunks=[(b"qqqq", bytes(2**24))])).chunks
    refuse(craft(chunks=[(b"qqqq", bytes(2**24 + 1))])[:40], LimitExceeded, "metadata limit of 16777216")


@pytest.mark.parametrize(
    ("size", "limits", "error"),
    [
        ((32_768, 1), Limits(), None),
        ((32_769, 1), Limits(), LimitExceeded),
        ((1, 32_769), Limits(), LimitExceeded),
        ((16_384, 16_384), Limits(), None),
        ((16_384, 16_385), Limits(), LimitExceeded),
        ((16_384, 16_385), Limits(pixels=0), None),
        ((10, 10), Limits(pixels=100), None),
        ((10, 10), Limits(pixels=99), LimitExceeded),
        ((65_535, 65_535), OPEN, None),
        ((65_536, 1), OPEN, LimitExceeded),
        ((1, 65_536), Limits(side=100_000), LimitExceeded),
        ((2**32 - 1, 2**32 - 1), OPEN, LimitExceeded),
    ],
)
def test_size_limits_are_exact(
    size: tuple[int, int], limits: Limits, error: type[FormatError] | None
) -> None:
    data = craft(width=size[0], height=size[1], tile=0)
    if error is None:
        assert (parse(data, limits).header.width, parse(data, limits).header.height) == size
    else:
        over = f"{size[0]}x{size[1]} (exceeds the side|pixels exceed the) limit of [0-9]+"
        refuse(data, error, f"^width, height at offset 16: {over}$", limits)


def test_tile_limit_is_exact() -> None:
    data = write(Header(128, 64, 0, ID, tile=64), [[b"AAAA", b""]] * 2)
    assert len(parse(data, Limits(tiles=2)).segments) == 2
    refuse(data, LimitExceeded, "^tile at offset 21: 2 tiles exceed the limit of 1$", Limits(tiles=1))


def test_the_longest_segment_has_the_most_bytes_that_are_words() -> None:
    assert probe(craft(toc=b"\x01\xff\xff\xff\xff\x03")).lengths == [4, 2**32 - 4]


def test_the_least_payload_is_enough_and_one_byte_less_is_truncated() -> None:
    data = write(Header(1024, 1024, 0, ID, tile=64), [[b"AAAA", b""]] * 256)
    assert parse(data).complete
    with pytest.raises(Truncated, match="of 256 tiles"):
        parse(data[:-1])
    assert not parse(data[:-1], allow_partial=True).complete


BOMBS: dict[str, tuple[bytes, Limits]] = {
    "2^31 pixels": (craft(width=65_535, height=32_769, tile=0), Limits()),
    "2^31 pixels, no limits": (craft(width=65_535, height=32_769, tile=1), OPEN),
    "2^64 pixels": (craft(width=2**32 - 1, height=2**32 - 1), OPEN),
    "65 535 tiles, no payload": (craft(width=64 * 257, height=64 * 255, tile=1, toc=b"", body=b""), Limits()),
    "65 535 tiles, full table": (
        craft(width=64 * 257, height=64 * 255, tile=1, toc=b"\x01" * 131_070, body=b""),
        Limits(),
    ),
    "a million tiles": (craft(width=65_535, height=65_535, tile=1), OPEN),
    "segment of 4 GiB": (craft(toc=b"\x01\xff\xff\xff\xff\x03"), Limits()),
    "table of huge segments": (
        craft(width=64 * 100, height=64, tile=1, toc=b"\xff\xff\xff\xff\x03" * 200, body=bytes(1200)),
        Limits(),
    ),
    "zero-length payload": (craft(body=b""), Limits()),
    "zero-length segments": (craft(toc=b"\x00\x00", body=bytes(8)), Limits()),
    "chunk of 4 GiB": (
        craft(chunks=[(b"eXIF", b"\x00x")]).replace(b"eXIF\x02", b"eXIF\xff\xff\xff\xff\x0f"),
        OPEN,
    ),
    "4 billion chunks": (craft(critical=1, count=b"\xff\xff\xff\xff\x0f"), OPEN),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_fast_and_in_little_memory(name: str) -> None:
    data, limits = BOMBS[name]

    def attempt(call: Callable[[], object]) -> float:
        start = time.perf_counter()
        with pytest.raises(FormatError):
            call()
        return time.perf_counter() - start

    # The best of three: a busy machine may stop us, the code may not.
    assert min(attempt(lambda: parse(data, limits)) for _ in range(3)) < 0.05
    tracemalloc.start()
    try:
        attempt(lambda: parse(data, limits))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


@pytest.mark.slow
def test_no_bomb_passes_as_partial_with_more_memory_than_its_data_pays_for() -> None:
    for data, limits in BOMBS.values():
        tracemalloc.start()
        try:
            parse(data, limits, allow_partial=True)
        except FormatError:
            pass
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 50_000_000
