"""The drawn layer of the container: round trips, prefixes, and each of its rules broken once."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.bitstream.test_format import Stranger
from tests.bitstream.test_rules import craft, le32, refuse
from vqcodec.bitstream import compose, parse, probe, write
from vqcodec.bitstream.drawn import NO_MODEL, check_drawn, pad_drawn, with_frame, without_frame
from vqcodec.bitstream.fields import encode_varint
from vqcodec.errors import CorruptData, Truncated
from vqcodec.types import Header

ID = bytes(range(1, 9))


def webp(width: int = 64, height: int = 64, mode: str = "RGB", **options: object) -> bytes:
    """Image data of WebP with some noise, of RGBA transparent."""
    pixels = np.random.default_rng(width).integers(0, 4, (height, width, len(mode)), dtype=np.uint8) * 85
    if mode == "RGBA":
        pixels[:, :, 3] = 255 * (np.arange(width) % 2)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **{"lossless": True, **options})
    return without_frame(file.getvalue())


def segment(**options: object) -> bytes:
    return pad_drawn(webp(**options))  # type: ignore[arg-type]


def drawn_file(
    drawn: bytes, coarse: bytes = b"", fine: bytes = b"", *, critical: int = 4, identity: bytes = NO_MODEL
) -> bytes:
    """A file of one tile of 64x64 with right checksums, made without the library's writer."""
    parts = (drawn, coarse, fine)
    toc = b"".join(encode_varint(len(part) // 4) for part in parts)
    body = b"".join(part + le32(zlib.crc32(part)) for part in parts if part)
    data = craft(critical=critical, toc=toc, body=b"")
    front = data[:8] + identity + data[16:-4]
    return front + le32(zlib.crc32(front)) + body


HEADER = Header(64, 64, 126, NO_MODEL, drawn=True)
LOSSY = segment(lossless=False)
"""Stands for the whole picture: a lossless one would be a bare file."""
SAMPLE_SIZES = [(64, 64), (36, 64), (64, 6), (36, 6)]
SAMPLE = write(
    Header(100, 70, 200, ID, tile=64, drawn=True),
    [[b"AAAA", b"BBBB"], [b"", b""], [b"CCCC", b""], [b"DDDD", b"EEEE"]],
    [],
    [segment(mode="RGBA"), segment(width=36), b"", segment(width=36, height=6)],
)


def test_round_trip_and_what_the_front_tells() -> None:
    parsed = parse(SAMPLE)
    assert parsed.header.drawn
    assert write(parsed.header, parsed.segments, [], parsed.drawn) == SAMPLE
    assert [len(part or b"") for part in parsed.drawn] == probe(SAMPLE).drawn_lengths
    assert probe(SAMPLE).drawn_whole == [False, True, False, False]
    file = compose(parsed.header, parsed.segments, [], parsed.drawn)
    assert file.drawn == list(parsed.drawn)
    # The first layer is told with the drawn one before it.
    first, end = probe(SAMPLE).layer_ends
    assert end == len(SAMPLE)
    assert first == end - sum(len(layers[1]) + 4 for layers in parsed.segments if layers[1])
    assert parse(SAMPLE[:first], layers=1).drawn == parsed.drawn


def test_a_file_without_a_drawn_layer_is_as_before() -> None:
    plain = compose(replace(HEADER, drawn=False), [[b"AAAA", b""]])
    assert plain.data[6] == 0
    assert (plain.drawn, plain.drawn_lengths, plain.drawn_whole) == ([], [], [False])
    assert parse(plain.data).drawn == ()


def test_the_crafted_file_is_right_when_nothing_is_changed() -> None:
    assert drawn_file(LOSSY) == write(HEADER, [[b"", b""]], [], [LOSSY])
    over = replace(HEADER, bitstream_id=ID)
    assert drawn_file(segment(), b"AAAA", identity=ID) == write(over, [[b"AAAA", b""]], [], [segment()])


def test_the_stranger_reads_a_drawn_layer() -> None:
    found, _, segments = Stranger(SAMPLE).read()
    assert found["tune"] == "eyes"
    parsed = parse(SAMPLE)
    assert segments == {
        (tile, layer): (parsed.drawn[tile], *parsed.segments[tile])[layer + 1]
        for tile in range(4)
        for layer in (-1, 0, 1)
    }
    psnr = write(replace(HEADER, tune="psnr"), [[b"", b""]], [], [LOSSY])
    assert Stranger(psnr).read()[0]["tune"] == "psnr"


def test_cut_at_every_offset() -> None:
    whole, front = parse(SAMPLE), probe(SAMPLE).data_offset
    flat = [
        *whole.drawn,
        *(layers[0] for layers in whole.segments),
        *(layers[1] for layers in whole.segments),
    ]
    for size in range(front, len(SAMPLE)):
        with pytest.raises(Truncated):
            parse(SAMPLE[:size])
        part = parse(SAMPLE[:size], allow_partial=True)
        found = [
            *part.drawn,
            *(layers[0] for layers in part.segments),
            *(layers[1] for layers in part.segments),
        ]
        there = sum(piece is not None for piece in found)
        assert found == flat[:there] + [None] * (12 - there)
        assert part.warnings == (f"the data ends early: {12 - there} of 12 segments are missing",)
        assert not part.complete


def test_no_flipped_bit_goes_unnoticed() -> None:
    for place in range(len(SAMPLE)):
        damaged = bytearray(SAMPLE)
        damaged[place] ^= 1 << place % 8
        with pytest.raises((CorruptData, Truncated, Exception)) as caught:
            parse(bytes(damaged))
        assert type(caught.value).__module__ == "vqcodec.errors"


def test_rules_of_the_table_of_contents() -> None:
    other = drawn_file(segment(), b"AAAA", identity=ID)
    assert parse(other).segments == ((b"AAAA", b""),)
    refuse(
        drawn_file(b"", b"AAAA", identity=ID), CorruptData, "^table of contents at offset 22: a drawn layer"
    )
    refuse(drawn_file(segment(), b"", b"AAAA"), CorruptData, "layer 0 segment of tile 0 is empty$")
    refuse(drawn_file(segment(), identity=ID), CorruptData, "^bitstream_id at offset 8: the id of no model")
    refuse(drawn_file(segment(), b"AAAA"), CorruptData, "^bitstream_id at offset 8: the id of no model")


def changed(start: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:start] + new + data[start + len(new) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"text", "no image data of WebP"),
        (lambda data: with_frame(data), "no image data of WebP"),
        (changed(0, b"\x2e"), "no image data of WebP"),
        (lambda data: changed(4, bytes([data[4] | 0x20]))(data), "no image data of WebP"),
        (lambda _: webp(64, 63), "the image data is of 64x63 pixels, the tile 64x64"),
        (lambda _: webp(65, 64), "the image data is of 65x64 pixels, the tile 64x64"),
        (lambda _: webp(32, 64, lossless=False), "the image data is of 32x64 pixels, the tile 64x64"),
        (lambda _: webp(mode="RGBA"), "transparent pixels, but nothing else is coded of the tile"),
        (lambda _: changed(0, b"\x01")(webp(lossless=False)), "no image data of WebP"),
        (lambda _: changed(3, b"\x00")(webp(lossless=False)), "no image data of WebP"),
    ],
)
def test_each_rule_of_a_segment_broken_once(change: Callable[[bytes], bytes], message: str) -> None:
    bad = pad_drawn(change(webp()))
    with pytest.raises(CorruptData, match=rf"^segment of tile 0, drawn layer at offset \d+: {message}$"):
        parse(drawn_file(bad))
    with pytest.raises(ValueError, match=message):
        write(HEADER, [[b"", b""]], [], [bad])


@pytest.mark.parametrize("lossless", [True, False])
def test_image_data_is_framed_as_pillow_frames_it(lossless: bool) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(with_frame(webp()))).save(file, "WEBP", lossless=lossless)
    data = without_frame(file.getvalue())
    assert with_frame(data) == file.getvalue()
    pixels = [Image.open(io.BytesIO(with_frame(data + bytes(count)))).tobytes() for count in range(4)]
    assert pixels == [Image.open(file).tobytes()] * 4


def test_tiles_are_no_longer_than_webp_files() -> None:
    data = bytearray(pad_drawn(webp(64, 1)))
    data[1:5] = (16_383 | 0 << 14).to_bytes(4, "little")
    with pytest.raises(CorruptData, match=r"^s at offset 0: the tile is longer than 16383$"):
        check_drawn(bytes(data), "s", 0, (16_384, 1), whole=True)


def test_transparent_pixels_may_stand_over_networks() -> None:
    data = drawn_file(segment(mode="RGBA"), b"AAAA", identity=ID)
    assert parse(data).drawn == (segment(mode="RGBA"),)


def test_a_canvas_is_refused_before_anything_is_decoded() -> None:
    bomb = bytearray(webp())
    bomb[1:5] = (16_382 | 16_382 << 14).to_bytes(4, "little")
    tracemalloc.start()
    try:
        with pytest.raises(CorruptData, match="the image data is of 16383x16383 pixels, the tile 64x64"):
            parse(drawn_file(pad_drawn(bytes(bomb))))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("drawn", "flag", "message"),
    [
        ([], True, "expected 1 drawn segments, not 0"),
        ([segment()], False, "expected 0 drawn segments, not 1"),
        ([None], True, "the drawn segment of tile 0 is missing or not in whole words"),
        ([segment() + b"\0"], True, "the drawn segment of tile 0 is missing or not in whole words"),
    ],
)
def test_what_does_not_fit_is_not_written(drawn: list[bytes | None], flag: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(replace(HEADER, drawn=flag), [[b"", b""]], [], drawn)
