"""Damaged files: at random, as disks and networks leave them, and with checksums put right again."""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable

from vqcodec.bitstream.chunks import CRC_BYTES, MIN_CHUNK_BYTES, TYPE_BYTES, read_count
from vqcodec.bitstream.contents import entry_count, unit_bytes
from vqcodec.bitstream.fields import Cursor
from vqcodec.bitstream.header import FLAG_BARE, ID_BYTES, read_header
from vqcodec.errors import FormatError
from vqcodec.types import Limits

FLAGS_AT, ID_AT = 6, 8
"""Where a file has its critical flags, and names the model that it needs; a bare one names none."""
BLOCK_MAX = 64
MOST_TILES = 4096

Random = random.Random
Damage = Callable[[bytearray, Random], None]


def _flip(data: bytearray, source: Random) -> None:
    data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def _change(data: bytearray, source: Random) -> None:
    start, size = _block(data, source)
    data[start : start + size] = source.randbytes(size)


def _set(data: bytearray, source: Random) -> None:
    data[source.randrange(len(data))] = source.choice((0, 1, 2, 3, 127, 128, 254, 255))


def _cut(data: bytearray, source: Random) -> None:
    start, size = _block(data, source)
    del data[start : start + size]


def _end(data: bytearray, source: Random) -> None:
    del data[source.randrange(len(data)) :]


def _double(data: bytearray, source: Random) -> None:
    start, size = _block(data, source)
    data[start:start] = data[start : start + size]


def _insert(data: bytearray, source: Random) -> None:
    at, size = source.randrange(len(data) + 1), source.randint(1, 8)
    data[at:at] = source.randbytes(size)


def _swap(data: bytearray, source: Random) -> None:
    size = source.randint(1, min(BLOCK_MAX, max(1, len(data) // 2)))
    first = source.randrange(len(data) - size + 1)
    second = source.randrange(len(data) - size + 1)
    if abs(first - second) >= size:
        one, other = data[first : first + size], data[second : second + size]
        data[first : first + size], data[second : second + size] = other, one


DAMAGES: dict[str, Damage] = {
    "a bit flipped": _flip,
    "a byte set": _set,
    "bytes changed": _change,
    "bytes cut out": _cut,
    "the end cut off": _end,
    "bytes doubled": _double,
    "bytes put in": _insert,
    "blocks swapped": _swap,
}
"""What may befall a file; each changes it in place, and may leave it as it was."""


def damaged(data: bytes, source: Random, kind: str | None = None) -> bytes:
    """A file with one damage of a kind, or of any."""
    result = bytearray(data)
    if result:
        DAMAGES[kind or source.choice(tuple(DAMAGES))](result, source)
    return bytes(result)


def repaired(data: bytes, bitstream_id: bytes | None = None) -> bytes:
    """The file with right checksums, as far as its structure can be followed.

    A forger writes them so; and a fuzzer whose files all fail at a checksum sees nothing behind it.

    Args:
        bitstream_id: put into the header, too.
    """
    result = bytearray(data)
    bare = len(result) > FLAGS_AT and result[FLAGS_AT] & FLAG_BARE
    if bitstream_id is not None and not bare and len(result) >= ID_AT + ID_BYTES:
        result[ID_AT : ID_AT + ID_BYTES] = bitstream_id
    cursor = Cursor(memoryview(bytes(result)))
    with contextlib.suppress(FormatError):  # what comes behind cannot be told
        _repair(cursor, result)
    return bytes(result)


def _repair(cursor: Cursor, result: bytearray) -> None:
    header, has_chunks = read_header(cursor, Limits(tiles=MOST_TILES))
    count = read_count(cursor) if has_chunks else 0
    front = cursor.offset
    for _ in range(count):
        cursor.require(MIN_CHUNK_BYTES, "chunk")
        kind = bytes(cursor.take(TYPE_BYTES, "chunk"))
        payload = cursor.take(cursor.varint("chunk"), "chunk")
        _put(cursor, result, zlib.crc32(payload, zlib.crc32(kind)))
    start = cursor.offset
    unit = unit_bytes(header)
    lengths = [cursor.varint("table of contents") * unit for _ in range(entry_count(header))]
    crc = zlib.crc32(result[start : cursor.offset], zlib.crc32(result[:front]))
    _put(cursor, result, crc)
    for length in filter(None, lengths):
        _put(cursor, result, zlib.crc32(cursor.take(length, "segment")))


def _put(cursor: Cursor, result: bytearray, crc: int) -> None:
    """Write a checksum where the cursor is."""
    at = cursor.offset
    cursor.take(CRC_BYTES, "checksum")
    result[at : at + CRC_BYTES] = crc.to_bytes(CRC_BYTES, "little")


def _block(data: bytearray, source: Random) -> tuple[int, int]:
    start = source.randrange(len(data))
    return start, source.randint(1, min(BLOCK_MAX, len(data) - start))
