"""Bare files: what they leave out, their one spelling, and every kind of damage."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import pytest

from tests.bitstream.test_drawn import drawn_file, segment, webp
from tests.bitstream.test_format import Stranger
from tests.bitstream.test_rules import le32, refuse
from vqcodec.bitstream import compose, pack_alpha, pack_metadata, parse, probe, write
from vqcodec.bitstream.drawn import NO_MODEL, is_bare
from vqcodec.bitstream.fields import encode_varint
from vqcodec.bitstream.header import BARE, bare_header
from vqcodec.errors import CorruptData, FormatError, LimitExceeded, Truncated
from vqcodec.types import LEVEL_MAX, Chunk, Header, Limits

EMPTY = [[b"", b""]]
HEADER = bare_header(Header(64, 64, 126, bytes(range(1, 9)), tune="psnr"))
IMAGE = webp()
CHUNKS = [
    pack_metadata("eXIF", b"II*\0" * 9),
    Chunk("zzzz", b"kept"),
    pack_alpha(bytes(range(64)) * 64, 64, 64),
]
SAMPLE = write(replace(HEADER, alpha=True, ignorable=0x42, minor=3), EMPTY, CHUNKS, [IMAGE])


def bare_file(
    image: bytes = IMAGE,
    *,
    critical: int = 12,
    size: tuple[int, int] = (64, 64),
    toc: bytes | None = None,
    more: bytes = b"",
) -> bytes:
    """A bare file with right checksums, made without the library's writer."""
    front = b"\x89VQC" + bytes((1, 0, critical, 0)) + b"".join(map(encode_varint, size)) + b"\0"
    front += encode_varint(len(image)) if toc is None else toc
    return front + le32(zlib.crc32(front)) + image + le32(zlib.crc32(image)) + more


def test_the_crafted_file_is_what_is_written() -> None:
    assert bare_file() == write(HEADER, EMPTY, [], [IMAGE])
    assert len(bare_file()) == 20 + len(IMAGE) + (len(IMAGE) > 127)
    assert (HEADER.level, HEADER.tile, HEADER.tune) == (LEVEL_MAX, 0, "eyes")
    assert HEADER.bitstream_id == NO_MODEL


@pytest.mark.parametrize("more", range(5))
def test_image_data_of_every_length_is_kept_as_it_is(more: int) -> None:
    image = IMAGE + bytes(more)
    parsed = parse(bare_file(image))
    assert parsed.drawn == (image,)
    assert parsed.segments == ((b"", b""),)
    assert (parsed.lengths, parsed.drawn_lengths) == ([len(image), 0, 0], [len(image)])
    assert write(parsed.header, parsed.segments, [], parsed.drawn) == bare_file(image)


def test_flags_chunks_and_alpha_are_those_of_other_files() -> None:
    parsed = parse(SAMPLE)
    assert parsed.chunks == tuple(CHUNKS)
    assert (parsed.header.ignorable, parsed.header.minor, parsed.header.alpha) == (0x42, 3, True)
    assert write(parsed.header, parsed.segments, parsed.chunks, parsed.drawn) == SAMPLE
    # An editor takes one away.
    fewer = parse(write(parsed.header, parsed.segments, parsed.chunks[1:], parsed.drawn))
    assert (fewer.header, fewer.chunks, fewer.drawn) == (parsed.header, parsed.chunks[1:], parsed.drawn)


def test_the_front_tells_all_but_the_pixels() -> None:
    front = probe(SAMPLE)
    assert probe(SAMPLE[: front.data_offset]) == front
    assert front.layer_ends == (len(SAMPLE), len(SAMPLE))
    assert front.drawn_whole == [True]
    assert parse(SAMPLE, layers=1).drawn == (IMAGE,)
    file = compose(front.header, EMPTY, CHUNKS, [IMAGE])
    assert (file.drawn, file.lengths) == ([IMAGE], front.lengths)


def test_the_stranger_reads_a_bare_file() -> None:
    found, extras, segments = Stranger(SAMPLE).read()
    header = parse(SAMPLE).header
    assert found == {name: getattr(header, name) for name in found}
    assert extras == [(chunk.type, chunk.data) for chunk in CHUNKS]
    assert segments == {(0, -1): IMAGE, (0, 0): b"", (0, 1): b""}


def test_no_flipped_bit_goes_unnoticed() -> None:
    for data in (SAMPLE, bare_file()):
        for position in range(8 * len(data)):
            damaged = bytearray(data)
            damaged[position // 8] ^= 1 << position % 8
            for partial in (False, True):
                with pytest.raises(FormatError):
                    parse(bytes(damaged), allow_partial=partial)


def test_cut_at_every_offset() -> None:
    front = probe(SAMPLE)
    for size in range(len(SAMPLE)):
        with pytest.raises(Truncated):
            parse(SAMPLE[:size])
        if size < front.data_offset:
            with pytest.raises(Truncated):
                parse(SAMPLE[:size], allow_partial=True)
            continue
        part = parse(SAMPLE[:size], allow_partial=True)
        assert (part.drawn, part.complete, part.drawn_whole) == ((None,), False, [True])
        assert part.warnings == ("the data ends early: 1 of 1 segments are missing",)
        assert part.header == front.header


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(
        CorruptData, match=rf"^end of file at offset {len(bare_file())}: 1 more bytes follow$"
    ):
        parse(bare_file(more=b"\0"))


FLAGS = "^critical flags at offset 6: a bare file without a drawn layer, or with a tune$"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bare_file(critical=8), FLAGS),
        (bare_file(critical=14), FLAGS),
        (bare_file(critical=10), FLAGS),
        (bare_file(size=(16_384, 1)), "^width, height at offset 8: a bare file is at most 16383 a side$"),
        (bare_file(size=(1, 65_535)), "^width, height at offset 8: (a bare file|1x65535 exceeds)"),
        (bare_file(toc=b"\0"), "^table of contents at offset 11: a drawn layer without a segment$"),
        (
            bare_file(toc=b"\x80\0"),
            "^table of contents at offset 11: the varint is not in its shortest form$",
        ),
    ],
)
def test_rules_of_the_front(data: bytes, message: str) -> None:
    refuse(data, FormatError, message)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (webp(lossless=False), "a bare file's image data is not lossless"),
        (webp(64, 63), "the image data is of 64x63 pixels, the tile 64x64"),
        (webp(mode="RGBA"), "transparent pixels, but nothing else is coded of the tile"),
        (IMAGE[:10], "no image data of WebP"),
    ],
)
def test_rules_of_the_image_data(image: bytes, message: str) -> None:
    with pytest.raises(CorruptData, match=rf"^segment of tile 0, drawn layer at offset \d+: {message}$"):
        parse(bare_file(image))
    with pytest.raises(ValueError, match=message):
        write(HEADER, EMPTY, [], [image])


def test_there_is_one_spelling() -> None:
    usual = Header(64, 64, 126, NO_MODEL, drawn=True)
    message = "one lossless tile is all of the picture, but the file is not bare$"
    with pytest.raises(CorruptData, match=message):
        parse(drawn_file(segment()))
    for tile in (0, 64, 1024):
        with pytest.raises(ValueError, match=message):
            write(replace(usual, tile=tile), EMPTY, [], [segment()])
    # Not so where there is more to the picture.
    for data in (drawn_file(segment(lossless=False)), drawn_file(segment(), b"AAAA", identity=b"modelmod")):
        assert not parse(data).header.bare
    two = replace(usual, width=128, tile=64)
    assert not parse(write(two, EMPTY * 2, [], [segment()] * 2)).header.bare


def test_what_is_bare() -> None:
    assert is_bare([IMAGE], networks=False)
    assert is_bare([segment()], networks=False)
    assert not is_bare([IMAGE], networks=True)
    assert not is_bare([IMAGE, IMAGE], networks=False)
    assert not is_bare([webp(lossless=False)], networks=False)
    assert not is_bare([b""], networks=False)
    assert not is_bare([], networks=False)


@pytest.mark.parametrize(
    "change",
    [
        {"level": 251},
        {"tile": 64},
        {"tune": "psnr"},
        {"bitstream_id": b"modelmod"},
        {"drawn": False},
    ],
)
def test_headers_that_tell_more_are_not_written(change: dict[str, Any]) -> None:
    assert set(change) <= set(BARE)
    with pytest.raises(ValueError, match="a bare file must have the level, tile, tune, coder and id of BARE"):
        write(replace(HEADER, **change), EMPTY, [], [IMAGE])


@pytest.mark.parametrize("segments", [[[b"AAAA", b""]], [[b"", b"AAAA"]], [[b"AAAA", b"BBBB"]]])
def test_segments_of_networks_are_not_written(segments: list[list[bytes]]) -> None:
    with pytest.raises(ValueError, match="a segment breaks a rule"):
        write(HEADER, segments, [], [IMAGE])


def test_limits_hold_before_anything_is_allocated() -> None:
    refuse(bare_file(), LimitExceeded, "pixels exceed the limit of 4095", Limits(pixels=4095))
    refuse(bare_file(), LimitExceeded, "exceeds the side limit of 63", Limits(side=63))
    endless = bare_file(toc=b"\xff\xff\xff\xff\x0f")
    assert probe(endless).lengths == [2**32 - 1, 0, 0]
    tracemalloc.start()
    try:
        with pytest.raises(Truncated, match=r"^segments at offset 20: the file has 4294967319 bytes but"):
            parse(endless)
        assert parse(endless, allow_partial=True).drawn == (None,)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
