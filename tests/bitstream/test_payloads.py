"""Metadata and alpha payloads: round trips, damage and deflate bombs."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream import pack_alpha, pack_metadata, parse, unpack_alpha, unpack_metadata, write
from vqcodec.errors import CorruptData, LimitExceeded
from vqcodec.probing import verify
from vqcodec.types import Chunk, Header, Limits

ID = bytes(8)


@given(st.sampled_from(["iCCP", "eXIF", "xMPd"]), st.binary(min_size=1, max_size=300), st.integers(1, 50))
def test_metadata_round_trip(kind: str, raw: bytes, times: int) -> None:
    chunk = pack_metadata(kind, raw * times)
    assert chunk.type == kind
    assert unpack_metadata(chunk) == raw * times
    assert len(chunk.data) <= 1 + len(raw) * times
    assert parse(write(Header(9, 9, 0, ID), [[b"AAAA", b""]], [chunk])).chunks == (chunk,)


def test_metadata_is_deflated_only_when_that_is_smaller() -> None:
    assert pack_metadata("eXIF", b"ab").data == b"\x00ab"
    assert pack_metadata("eXIF", b"a" * 100).data[0] == 1


@pytest.mark.parametrize(("kind", "raw"), [("mODL", b"x"), ("iccp", b"x"), ("iCCP", b"")])
def test_metadata_that_is_not_packed(kind: str, raw: bytes) -> None:
    with pytest.raises(ValueError, match="metadata"):
        pack_metadata(kind, raw)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x02abc",
        b"\x01",
        b"\x01abc",
        b"\x01" + zlib.compress(b""),
        b"\x01" + zlib.compress(b"abc")[:-1],
        b"\x01" + zlib.compress(b"abc") + b"x",
        b"\x01" + zlib.compress(b"abc")[:-1] + b"\x00",
    ],
)
def test_damaged_metadata(payload: bytes) -> None:
    with pytest.raises(CorruptData, match=r"^chunk 'xMPd': "):
        unpack_metadata(Chunk("xMPd", payload))


def test_metadata_limit_holds_for_the_content() -> None:
    for method, payload in ((0, b"a" * 1000), (1, zlib.compress(b"a" * 1000))):
        chunk = Chunk("iCCP", bytes((method,)) + payload)
        assert len(unpack_metadata(chunk, Limits(metadata=1000))) == 1000
        assert len(unpack_metadata(chunk, Limits(metadata=0))) == 1000
        with pytest.raises(LimitExceeded, match=r"'iCCP'.* 999"):
            unpack_metadata(chunk, Limits(metadata=999))


def test_deflate_bombs_are_stopped_early() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    header = Header(100, 100, 0, ID, alpha=True)
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded):
            unpack_metadata(Chunk("iCCP", b"\x01" + bomb), Limits(metadata=1_000_000))
        with pytest.raises(CorruptData):
            unpack_alpha(Chunk("ALPH", b"\x00" + bomb), header)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False), st.booleans())
def test_alpha_round_trip(width: int, height: int, generator: object, smooth: bool) -> None:
    noise = generator.randbytes(width * height)  # type: ignore[attr-defined]
    plane = bytes(7 * (i // width) % 256 for i in range(width * height)) if smooth else noise
    chunk = pack_alpha(plane, width, height)
    header = Header(width, height, 0, ID, alpha=True)
    assert unpack_alpha(chunk, header) == plane
    assert parse(write(header, [[b"AAAA", b""]], [chunk])).chunks == (chunk,)


@given(st.integers(1, 9), st.data())
def test_the_up_filter_is_a_difference_modulo_256(width: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.binary(min_size=width, max_size=width), min_size=1, max_size=9))
    expected, above = b"", bytes(width)
    for row in rows:
        above = bytes((a + b) % 256 for a, b in zip(above, row, strict=True))
        expected += above
    chunk = Chunk("ALPH", b"\x01" + zlib.compress(b"".join(rows)))
    assert unpack_alpha(chunk, Header(width, len(rows), 0, ID, alpha=True)) == expected


def test_a_vertical_gradient_takes_the_up_filter() -> None:
    plane = b"".join(bytes((x * y % 256) for x in range(64)) for y in range(64))
    chunk = pack_alpha(plane, 64, 64)
    assert chunk.data[0] == 1
    assert len(chunk.data) < 1 + len(zlib.compress(plane, 9))


def test_payloads_are_deflated_as_far_as_zlib_can() -> None:
    planes = (bytes(64 * 64), bytes(x * y % 256 for y in range(64) for x in range(64)))
    chunks = [pack_alpha(plane, 64, 64) for plane in planes]
    assert [chunk.data[0] for chunk in chunks] == [0, 1]
    for chunk in (*chunks, pack_metadata("iCCP", b"profile " * 9)):
        assert chunk.data[1:3] == zlib.compress(b"", 9)[:2] != zlib.compress(b"")[:2]


def test_alpha_of_another_size() -> None:
    header = Header(8, 8, 0, ID, alpha=True)
    for size in (0, 63, 65, 1000):
        for method in (b"\x00", b"\x01"):
            with pytest.raises(CorruptData, match=r"^chunk 'ALPH': "):
                unpack_alpha(Chunk("ALPH", method + zlib.compress(bytes(size))), header)
    with pytest.raises(ValueError, match="is not 8x8"):
        pack_alpha(bytes(63), 8, 8)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x02" + zlib.compress(bytes(64)), b"\x00junk"])
def test_damaged_alpha(payload: bytes) -> None:
    with pytest.raises(CorruptData, match=r"^chunk 'ALPH': "):
        unpack_alpha(Chunk("ALPH", payload), Header(8, 8, 0, ID, alpha=True))


def test_verify_inflates_the_alpha_plane() -> None:
    """Of a file whose checksums are all right."""
    header = Header(8, 8, 0, ID, alpha=True)
    good = pack_alpha(bytes(range(64)), 8, 8)
    assert verify(write(header, [[b"AAAA", b""]], [good])).mode == "RGBA"
    for payload in (
        good.data[:-1],
        good.data[:5] + b"\xff\xff" + good.data[7:],
        b"\x00" + zlib.compress(b"x" * 63),
    ):
        with pytest.raises(CorruptData, match=r"^chunk 'ALPH': "):
            verify(write(header, [[b"AAAA", b""]], [Chunk("ALPH", payload)]))
