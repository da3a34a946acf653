"""Varints and the bounds-checked cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqcodec.bitstream.fields import VARINT_MAX, Cursor, encode_varint
from vqcodec.errors import CorruptData, Truncated


def read(data: bytes) -> tuple[int, int]:
    cursor = Cursor(memoryview(data))
    return cursor.varint("number"), cursor.offset


@given(st.integers(0, VARINT_MAX), st.binary(max_size=3))
def test_varint_round_trip_stops_at_its_end(value: int, rest: bytes) -> None:
    coded = encode_varint(value)
    assert read(coded + rest) == (value, len(coded))


@pytest.mark.parametrize(
    ("value", "coded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (768, "8006"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (VARINT_MAX, "ffffffff0f"),
    ],
)
def test_varint_known_values(value: int, coded: str) -> None:
    assert encode_varint(value).hex() == coded
    assert read(bytes.fromhex(coded)) == (value, len(coded) // 2)


@pytest.mark.parametrize("value", [-1, VARINT_MAX + 1])
def test_varint_out_of_range_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="varint"):
        encode_varint(value)


@pytest.mark.parametrize(
    ("coded", "message"),
    [
        ("8000", "shortest"),
        ("808000", "shortest"),
        ("ff00", "shortest"),
        ("8080808000", "shortest"),
        ("8080808010", "above"),
        ("ffffffff7f", "above"),
        ("808080808001", "longer than 5 bytes"),
        ("ffffffffffffffffffff01", "longer than 5 bytes"),
    ],
)
def test_varint_other_spellings_are_refused(coded: str, message: str) -> None:
    with pytest.raises(CorruptData, match=f"^number at offset 0: .*{message}"):
        read(bytes.fromhex(coded))


@given(st.integers(0, VARINT_MAX))
def test_varint_cut_anywhere_is_truncated(value: int) -> None:
    coded = encode_varint(value)
    for size in range(len(coded)):
        with pytest.raises(Truncated, match=f"^number at offset {size}: "):
            read(coded[:size])


@given(st.binary(max_size=8))
def test_every_accepted_varint_is_what_the_writer_writes(data: bytes) -> None:
    try:
        value, size = read(data)
    except (CorruptData, Truncated):
        return
    assert encode_varint(value) == data[:size]


def test_cursor_reads_little_endian_and_names_what_is_missing() -> None:
    cursor = Cursor(memoryview(bytes.fromhex("aa01020304bb")), 1)
    assert cursor.uint(4, "word") == 0x04030201
    assert (cursor.offset, cursor.left) == (5, 1)
    with pytest.raises(Truncated, match=r"^word at offset 5: needs 4 more bytes but the data ends after 1$"):
        cursor.uint(4, "word")
    assert cursor.offset == 5
