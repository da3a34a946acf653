"""What a fuzzer calls: any bytes as a file must give a picture or one clear error, and nothing else.

A target returns what became of the bytes in a word, and raises whatever is a finding.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import vqcodec
from vqcodec.bitstream import parse, probe, unpack_metadata, write
from vqcodec.codec import Codec
from vqcodec.entropy.range_coder import SegmentReader
from vqcodec.errors import FormatError, ModelMismatch, Truncated
from vqcodec.image.alpha import alpha_plane
from vqcodec.types import Limits

LIMITS = Limits(pixels=1 << 16, side=512, tiles=64, metadata=1 << 14)
SMALL = Limits(pixels=1 << 12, side=512, tiles=64, metadata=1 << 14)
"""Of pictures that are decoded, so that none takes long."""
MESSAGE_MAX = 400

Target = Callable[[bytes], str]


def container(data: bytes) -> str:
    """Parse a file whole, in part and its front; what is valid must be written again to the same bytes."""
    try:
        parsed = parse(data, LIMITS)
    except Truncated as error:
        _one_line(error)
        return _partial(data)
    except FormatError as error:
        return _one_line(error)
    assert parsed.complete
    segments = [[s for s in layers if s is not None] for layers in parsed.segments]
    drawn = [segment for segment in parsed.drawn if segment is not None]
    again = write(parsed.header, segments, parsed.chunks, drawn)
    assert again == data, "a second spelling of one file"
    front = probe(data[: parsed.data_offset], LIMITS)
    assert front.lengths == parsed.lengths
    assert vqcodec.probe(data, limits=LIMITS).file_bytes == len(data)
    try:
        for chunk in parsed.chunks:
            if chunk.type == "ALPH":
                assert alpha_plane(chunk, parsed.header).shape == (parsed.header.height, parsed.header.width)
            elif chunk.type in ("iCCP", "eXIF", "xMPd"):
                assert 0 < len(unpack_metadata(chunk, LIMITS)) <= LIMITS.metadata
    except FormatError as error:
        return _one_line(error)
    return "valid"


def _partial(data: bytes) -> str:
    try:
        parsed = parse(data, LIMITS, allow_partial=True)
    except FormatError as error:
        return _one_line(error)
    assert not parsed.complete
    assert len(data) < parsed.file_bytes
    return "valid in part"


def decoding(codec: Codec) -> Target:
    """Decode a file with options that its bytes decide, to a picture or, at times, a PNG."""

    def decode(data: bytes) -> str:
        choice = zlib.crc32(data)
        options: dict[str, Any] = {
            "allow_partial": bool(choice & 1),
            "metadata": "none" if choice & 2 else "all",
            "preview": 1 if choice & 12 == 0 else None,
            "realism": 0.5 if codec.realism_id and choice & 48 == 0 else 0.0,
            "limits": SMALL,
        }
        try:
            if choice & 0x1C0 == 0:
                codec.transcode(data, "PNG", **options)
                return "valid"
            image = codec.decompress(data, **options)
        except (FormatError, ModelMismatch) as error:
            return _one_line(error)
        assert 0 < image.width * image.height <= SMALL.pixels
        assert image.mode in ("L", "LA", "RGB", "RGBA")
        return "valid"

    return decode


def small(data: bytes) -> bool:
    """Whether a file is within the limits of decoding."""
    with contextlib.suppress(FormatError):
        return probe(data, SMALL) is not None
    return False


@contextlib.contextmanager
def any_segment(enabled: bool) -> Iterator[None]:
    """Within this a segment need not be what its symbols encode to.

    Who writes a file can choose any symbols; a fuzzer hardly finds one that encodes to itself, and would
    never come to the transforms.
    """
    if not enabled:
        yield
        return
    with patch.object(SegmentReader, "finish", lambda self: None):
        yield


def _one_line(error: Exception) -> str:
    message = str(error)
    assert message, "an error without a message"
    assert len(message.splitlines()) == 1, "a message of several lines"
    assert len(message) <= MESSAGE_MAX, "a message too long to read"
    assert message.isprintable(), "a message with control characters"
    return type(error).__name__
