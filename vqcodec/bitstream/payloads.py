"""What is inside metadata and alpha chunks: packing, and unpacking with a bound on what may come out.

Deflate can blow up a thousandfold, so nothing is inflated further than the metadata limit (iCCP, eXIF, xMPd)
or the exact size of the alpha plane (ALPH), whatever the compressed bytes claim.
"""

from __future__ import annotations

import zlib

from vqcodec.bitstream.profiles import PROFILES, profile_bytes, profile_number
from vqcodec.errors import CorruptData, LimitExceeded
from vqcodec.types import DEFAULT_LIMITS, Chunk, Header, Limits

METADATA_TYPES = ("iCCP", "eXIF", "xMPd")
STORED, DEFLATED, WELL_KNOWN = 0, 1, 2
FILTER_NONE, FILTER_UP = 0, 1
_ZLIB_LEVEL = 9


def pack_metadata(chunk_type: str, raw: bytes) -> Chunk:
    """Return a metadata chunk with `raw` stored or deflated, whichever is smaller, or a profile's number.

    Args:
        chunk_type: "iCCP", "eXIF" or "xMPd".
        raw: the ICC profile, the Exif data (from its TIFF header on) or the XMP packet; not empty.

    Raises:
        ValueError: another type, or nothing to store.
    """
    if chunk_type not in METADATA_TYPES or not raw:
        raise ValueError(f"{chunk_type!r} is not a metadata chunk type, or its content is empty")
    if chunk_type == "iCCP" and (number := profile_number(raw)) is not None:
        return Chunk(chunk_type, bytes((WELL_KNOWN, number)))
    packed = zlib.compress(raw, _ZLIB_LEVEL)
    if len(packed) < len(raw):
        return Chunk(chunk_type, bytes((DEFLATED,)) + packed)
    return Chunk(chunk_type, bytes((STORED,)) + bytes(raw))


def unpack_metadata(chunk: Chunk, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return the content of a metadata chunk.

    Raises:
        CorruptData: an unknown method or number, or deflated data that is damaged, cut, empty or followed by
            more.
        LimitExceeded: the content is longer than `limits.metadata`.
    """
    method, body = chunk.data[:1], chunk.data[1:]
    if method == bytes((STORED,)):
        raw = body
    elif method == bytes((DEFLATED,)):
        # One byte more than allowed is asked for, so that too long is seen without inflating all of it.
        raw = _inflate(chunk.type, body, limits.metadata + 1 if limits.metadata else 0)
    elif well_known(chunk) is not None:
        raw = profile_bytes(body[0])
    else:
        raise CorruptData(f"chunk {chunk.type!r}: unknown method")
    if limits.metadata and len(raw) > limits.metadata:
        raise LimitExceeded(f"chunk {chunk.type!r}: content exceeds the metadata limit of {limits.metadata}")
    if not raw:
        raise CorruptData(f"chunk {chunk.type!r}: empty content")
    return raw


def well_known(chunk: Chunk) -> str | None:
    """Name of the colour profile that a chunk holds by its number; None of any other chunk."""
    method, number = chunk.data[:1], chunk.data[1:]
    if chunk.type != "iCCP" or method != bytes((WELL_KNOWN,)) or len(number) != 1:
        return None
    found = PROFILES.get(number[0])
    return None if found is None else found.name


def pack_alpha(plane: bytes, width: int, height: int) -> Chunk:
    """Return the deflated ALPH chunk of an alpha plane: `height` rows of `width` bytes, top row first.

    Raises:
        ValueError: the plane is not width * height bytes.
    """
    if width < 1 or height < 1 or len(plane) != width * height:
        raise ValueError(f"an alpha plane of {len(plane)} bytes is not {width}x{height}")
    import numpy as np  # noqa: PLC0415  most files have no alpha

    rows = np.frombuffer(plane, np.uint8).reshape(height, width)
    differences = np.concatenate([rows[:1], rows[1:] - rows[:-1]]).tobytes()
    plain = bytes((FILTER_NONE,)) + zlib.compress(plane, _ZLIB_LEVEL)
    up = bytes((FILTER_UP,)) + zlib.compress(differences, _ZLIB_LEVEL)
    return Chunk("ALPH", min(plain, up, key=len))


def unpack_alpha(chunk: Chunk, header: Header) -> bytes:
    """Return a deflated alpha plane, exactly header.width * header.height bytes, row by row.

    `vqcodec.image.alpha` has the chunks that are not.

    Raises:
        CorruptData: an unknown filter, damaged data, or another size than the picture's.
    """
    size = header.width * header.height
    method, body = chunk.data[:1], chunk.data[1:]
    if method not in (bytes((FILTER_NONE,)), bytes((FILTER_UP,))):
        raise CorruptData("chunk 'ALPH': unknown filter")
    rows = _inflate("ALPH", body, size + 1)
    if len(rows) != size:
        raise CorruptData(f"chunk 'ALPH': the plane is not {size} bytes")
    if method == bytes((FILTER_NONE,)):
        return rows
    import numpy as np  # noqa: PLC0415  as above

    return np.frombuffer(rows, np.uint8).reshape(-1, header.width).cumsum(0, dtype=np.uint8).tobytes()


def _inflate(chunk_type: str, body: bytes, most: int) -> bytes:
    """Inflate one whole zlib stream to at most `most` bytes (0 = no bound), then cut there."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(body, most)
    except zlib.error as error:
        raise CorruptData(f"chunk {chunk_type!r}: damaged deflated data") from error
    if most and len(raw) >= most:
        return raw
    if not stream.eof or stream.unused_data:
        raise CorruptData(f"chunk {chunk_type!r}: deflated data is cut short or followed by other bytes")
    return raw
