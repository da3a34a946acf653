"""Files of a few bytes that announce far more than they hold, with right checksums."""

from __future__ import annotations

import zlib

from vqcodec.bitstream.fields import encode_varint
from vqcodec.bitstream.header import FLAG_BARE, FLAG_DRAWN
from vqcodec.types import Limits

FLAT = "4096x4096 pixels, one word"
"""No bomb by its looks, for a flat picture may be as small: memory for it is taken, and bounded."""
OPEN = Limits(pixels=0, side=0, tiles=0, metadata=0)
MEBIBYTE = 1 << 20


def bombs(bitstream_id: bytes) -> dict[str, tuple[bytes, Limits]]:
    """Each with the limits it is opened with, by name; all must be refused."""
    blown = zlib.compress(bytes(64 * MEBIBYTE), 9)
    endless = (64 * 257, 64 * 255, 1)

    def file(
        width: int = 64,
        height: int = 64,
        tile: int = 0,
        *,
        colour: int = 0,
        chunks: tuple[tuple[bytes, bytes], ...] = (),
        count: int | None = None,
        toc: bytes = b"\1\0",
        body: bytes = b"AAAA" + zlib.crc32(b"AAAA").to_bytes(4, "little") + bytes(4),
    ) -> bytes:
        listed = bool(chunks) or count is not None
        front = b"\x89VQC" + bytes((1, 0, listed, 0)) + bitstream_id
        front += encode_varint(width) + encode_varint(height) + bytes((126, colour))
        front += encode_varint(tile) + b"\1"
        if listed:
            front += encode_varint(len(chunks) if count is None else count)
        middle = b"".join(
            kind + encode_varint(len(data)) + data + zlib.crc32(kind + data).to_bytes(4, "little")
            for kind, data in chunks
        )
        return front + middle + toc + zlib.crc32(front + toc).to_bytes(4, "little") + body

    def bare(width: int, height: int, toc: bytes) -> bytes:
        """A bare file whose image data is not there, but for its first byte."""
        front = b"\x89VQC" + bytes((1, 0, FLAG_DRAWN | FLAG_BARE, 0)) + encode_varint(width)
        front += encode_varint(height) + b"\0" + toc
        return front + zlib.crc32(front).to_bytes(4, "little") + b"\x2f"

    return {
        "2^31 pixels": (file(65_535, 32_769), Limits()),
        "2^31 pixels, no limits": (file(65_535, 32_769, 1), OPEN),
        "2^64 pixels": (file(2**32 - 1, 2**32 - 1), OPEN),
        FLAT: (file(4096, 4096), Limits()),
        "65 535 tiles, no table": (file(*endless, toc=b"", body=b""), Limits()),
        "65 535 tiles, no segments": (file(*endless, toc=b"\1" * 131_070, body=b""), Limits()),
        "a million tiles": (file(65_535, 65_535, 1), OPEN),
        "a segment of 4 GiB": (file(toc=b"\1\xff\xff\xff\xff\3"), Limits()),
        "bare, 4 GiB": (bare(64, 64, b"\xff\xff\xff\xff\x0f"), Limits()),
        "bare, 2^32 pixels": (bare(65_535, 65_535, b"\xff\xff\xff\xff\x0f"), OPEN),
        "a chunk of 4 GiB": (
            file(chunks=((b"eXIF", b"\0x"),)).replace(b"eXIF\2", b"eXIF\xff\xff\xff\xff\x0f"),
            OPEN,
        ),
        "4 billion chunks": (file(count=2**32 - 1), OPEN),
        "metadata of 64 MiB in 64 kB": (file(chunks=((b"eXIF", b"\1" + blown),)), Limits()),
        "alpha of 64 MiB for 64x64": (
            file(colour=2, chunks=((b"ALPH", b"\0" + zlib.compress(bytes(8 * MEBIBYTE), 9)[:4000]),)),
            Limits(),
        ),
        "alpha of 256 MiB, cut": (
            file(16_384, 16_384, colour=2, chunks=((b"ALPH", b"\0" + blown[:1000]),)),
            Limits(),
        ),
    }
