"""Chunks: metadata, alpha and notes that travel beside the coded picture.

    type[4] | length varint | payload | CRC-32 of type + payload

The case of the first letter says what a reader that does not know the type must do: upper = critical, refuse
the file; lower = ancillary, skip the chunk (and keep it when rewriting). All chunks stand before the coded
picture, so that a short prefix of a file tells everything about it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from vqcodec.bitstream.fields import Cursor, encode_varint, where
from vqcodec.bitstream.payloads import WELL_KNOWN
from vqcodec.bitstream.profiles import PROFILES
from vqcodec.errors import CorruptData, LimitExceeded, UnsupportedVersion
from vqcodec.types import Chunk, Header, Limits

CHUNKS_MAX = 255
TYPE_BYTES = 4
CRC_BYTES = 4
MIN_CHUNK_BYTES = TYPE_BYTES + 1 + CRC_BYTES


class Rule(NamedTuple):
    """Bounds on a known chunk's payload bytes; `largest` None = only the metadata limit applies."""

    smallest: int
    largest: int | None
    methods: int = 0
    """When not 0: the payload's first byte is a method below this number."""


KNOWN = {
    "iCCP": Rule(2, None, 3),
    "eXIF": Rule(2, None, 2),
    "xMPd": Rule(2, None, 2),
    "mODL": Rule(1, 64),
    "dECD": Rule(8, 8),
    "ALPH": Rule(2, None, 3),
}
"""Every chunk type of version 1; each may stand in a file once at most."""


def alpha_bound(header: Header) -> int:
    """Return the most bytes an ALPH payload may have: a method byte and the plane as deflate's worst case.

    Alpha is bounded by the picture, not by the metadata limit; deflate never needs more than 1/1024 over.
    """
    plane = header.width * header.height
    return 1 + plane + (plane >> 10) + 64


def write_chunks(chunks: Sequence[Chunk], header: Header) -> tuple[bytes, bytes]:
    """Return (chunk count as a varint, all chunks); both empty when there is no chunk.

    Raises:
        ValueError: a chunk breaks a rule of the format.
    """
    if len(chunks) > CHUNKS_MAX:
        raise ValueError(f"{len(chunks)} chunks, at most {CHUNKS_MAX} fit")
    parts = []
    for chunk in chunks:
        kind = chunk.type.encode("ascii", "replace")
        problem = _type_problem(kind) or _payload_problem(chunk, header)
        if problem is None and chunk.type[0].isupper() and chunk.type not in KNOWN:
            problem = "is critical and unknown"
        if problem:
            raise ValueError(f"chunk {chunk.type!r} {problem}")
        crc = zlib.crc32(chunk.data, zlib.crc32(kind))
        parts += [kind, encode_varint(len(chunk.data)), chunk.data, crc.to_bytes(CRC_BYTES, "little")]
    if problem := _list_problem(chunks, header):
        raise ValueError(problem)
    return (encode_varint(len(chunks)) if chunks else b""), b"".join(parts)


def read_count(cursor: Cursor) -> int:
    """Read the chunk count, 1..255.

    Raises:
        CorruptData: out of range.
        Truncated: the data cannot hold that many chunks.
    """
    at = cursor.offset
    count = cursor.varint("chunk count")
    if not 1 <= count <= CHUNKS_MAX:
        raise CorruptData(where("chunk count", at, f"{count} is not in 1..{CHUNKS_MAX}"))
    cursor.require(count * MIN_CHUNK_BYTES, "chunks")
    return count


def read_chunks(cursor: Cursor, count: int, header: Header, limits: Limits) -> tuple[Chunk, ...]:
    """Read and check `count` chunks (0: none) and that they fit together and with the header.

    Raises:
        CorruptData: a checksum or a rule is broken.
        LimitExceeded: a chunk is longer than `limits.metadata`.
        Truncated: the data ends inside a chunk.
        UnsupportedVersion: an unknown critical chunk.
    """
    start = cursor.offset
    chunks = tuple(_read_chunk(cursor, header, limits) for _ in range(count))
    if problem := _list_problem(chunks, header):
        raise CorruptData(where("chunks", start, problem))
    return chunks


def _read_chunk(cursor: Cursor, header: Header, limits: Limits) -> Chunk:
    at = cursor.offset
    kind = bytes(cursor.take(TYPE_BYTES, "chunk type"))
    name = f"chunk {kind.decode('ascii', 'backslashreplace')!r}"
    length = cursor.varint(f"{name} length")
    if kind == b"ALPH":
        if length > alpha_bound(header):
            raise CorruptData(where(name, at, f"{length} bytes are more than this picture's alpha can need"))
    elif limits.metadata and length > limits.metadata:
        raise LimitExceeded(where(name, at, f"{length} bytes exceed the metadata limit of {limits.metadata}"))
    payload = cursor.take(length, name)
    crc = cursor.uint(CRC_BYTES, f"{name} CRC")
    # The checksum comes before any judgement of the type: damage must not be reported as a newer version.
    if zlib.crc32(payload, zlib.crc32(kind)) != crc:
        raise CorruptData(where(name, at, "wrong checksum"))
    if problem := _type_problem(kind):
        raise CorruptData(where(name, at, problem))
    chunk = Chunk(kind.decode("ascii"), bytes(payload))
    if chunk.type[0].isupper() and chunk.type not in KNOWN:
        raise UnsupportedVersion(where(name, at, "unknown critical chunk, a newer decoder is needed"))
    if _unknown_number(chunk):
        raise UnsupportedVersion(where(name, at, "unknown colour profile, a newer decoder is needed"))
    if problem := _payload_problem(chunk, header):
        raise CorruptData(where(name, at, problem))
    return chunk


def _type_problem(kind: bytes) -> str | None:
    if len(kind) != TYPE_BYTES or not kind.isalpha():  # bytes.isalpha: ASCII letters only
        return "the type is not four ASCII letters"
    return None


def _payload_problem(chunk: Chunk, header: Header) -> str | None:
    rule = KNOWN.get(chunk.type)
    if rule is None:
        return None
    size = len(chunk.data)
    largest = alpha_bound(header) if chunk.type == "ALPH" else rule.largest
    if size < rule.smallest or (largest is not None and size > largest):
        return f"has a payload of {size} bytes, which is outside its range"
    if rule.methods and chunk.data[0] >= rule.methods:
        return f"uses the unknown method {chunk.data[0]}"
    if chunk.type == "iCCP" and chunk.data[0] == WELL_KNOWN:
        if size != 2:
            return "has more than the number of a colour profile"
        if _unknown_number(chunk):
            return "has the number of no colour profile"
        if PROFILES[chunk.data[1]].gray != header.gray:
            return "has a colour profile for gray, or a gray one for colour"
    if chunk.type == "mODL":
        try:
            name = chunk.data.decode("utf-8")
        except UnicodeDecodeError:
            return "is not UTF-8"
        # Names are shown in terminals: no escape sequences.
        if any(ord(letter) < 0x20 or 0x7F <= ord(letter) <= 0x9F for letter in name):
            return "contains control characters"
    return None


def _unknown_number(chunk: Chunk) -> bool:
    numbered = chunk.type == "iCCP" and chunk.data[:1] == bytes((WELL_KNOWN,))
    return numbered and len(chunk.data) == 2 and chunk.data[1] not in PROFILES


def _list_problem(chunks: Sequence[Chunk], header: Header) -> str | None:
    kinds = [chunk.type for chunk in chunks]
    for kind in KNOWN:
        if kinds.count(kind) > 1:
            return f"chunk {kind!r} stands in the file more than once"
    if header.alpha != ("ALPH" in kinds):
        return "the alpha bit of the colour field and the ALPH chunk contradict each other"
    return None
