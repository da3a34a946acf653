"""Whole files: round trips, prefixes, and every kind of accidental damage."""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqcodec.bitstream import compose, pack_alpha, pack_metadata, parse, probe, tile_count, write
from vqcodec.bitstream.header import bare_header
from vqcodec.errors import CorruptData, FormatError, Truncated
from vqcodec.types import LEVEL_MAX, Chunk, Header, Limits

OPEN = Limits(pixels=0, side=0, tiles=0, metadata=0)
ID = b"\x01\x23\x45\x67\x89\xab\xcd\xef"

edges = st.sampled_from([1, 2, 63, 64, 65, 127, 128, 16_383, 16_384, 32_767, 32_768, 32_769, 65_534, 65_535])
sides = edges | st.integers(1, 65_535)
words = st.integers(0, 5).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
full_words = st.integers(1, 5).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
letters = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
unknown = st.builds(
    Chunk, st.tuples(st.just("z"), letters, letters, letters).map("".join), st.binary(max_size=20)
)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any header with at most 64 tiles, so that files stay small."""
    header = Header(
        width=draw(sides),
        height=draw(sides),
        level=draw(st.sampled_from([0, 1, LEVEL_MAX - 1, LEVEL_MAX]) | st.integers(0, LEVEL_MAX)),
        bitstream_id=draw(st.binary(min_size=8, max_size=8)),
        gray=draw(st.booleans()),
        alpha=draw(st.booleans()),
        tile=64 * draw(st.sampled_from([0, 1, 16, 127, 128, 1022, 1023]) | st.integers(0, 1023)),
        minor=draw(st.sampled_from([0, 1, 255])),
        ignorable=draw(st.sampled_from([0, 1, 128, 255])),
    )
    return header if tile_count(header) <= 64 else dataclasses.replace(header, tile=0)


@st.composite
def bare_pictures(draw: st.DrawFn) -> tuple[Header, bytes]:
    """A bare header, and what begins as image data of its size; containers do not look further."""
    width, height = (draw(st.sampled_from([1, 127, 128, 16_383]) | st.integers(1, 16_383)) for _ in "wh")
    plain = Header(width, height, 0, ID, minor=draw(st.sampled_from([0, 255])))
    header = dataclasses.replace(
        bare_header(plain),
        gray=draw(st.booleans()),
        alpha=draw(st.booleans()),
        ignorable=draw(st.integers(0, 255)),
    )
    start = b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little")
    return header, start + draw(st.binary(min_size=6, max_size=200))


Content = tuple[Header, list[list[bytes]], list[Chunk], list[bytes]]


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """All there is to a file: of the networks alone, or bare."""
    drawn: list[bytes] = []
    if draw(st.booleans()):
        header, image = draw(bare_pictures())
        segments, drawn = [[b"", b""]], [image]
    else:
        header = draw(headers())
        segments = [[draw(full_words), draw(words)] for _ in range(tile_count(header))]
    chunks = draw(st.lists(unknown, max_size=3))
    for kind in draw(st.sets(st.sampled_from(["iCCP", "eXIF", "xMPd"]))):
        chunks.append(pack_metadata(kind, draw(st.binary(min_size=1, max_size=99))))
    if draw(st.booleans()):
        chunks.append(Chunk("mODL", draw(names).encode()))
    if draw(st.booleans()):
        chunks.append(Chunk("dECD", draw(st.binary(min_size=8, max_size=8))))
    if header.alpha:
        chunks.append(Chunk("ALPH", b"\x00" + draw(st.binary(min_size=1, max_size=60))))
    return header, segments, draw(st.permutations(chunks)), drawn


def sample() -> bytes:
    """A small file with everything in it: 2x2 tiles, alpha, an ICC profile and a name."""
    header = Header(100, 70, 200, ID, alpha=True, tile=64, minor=3, ignorable=0x40)
    chunks = [
        Chunk("mODL", b"tiny"),
        pack_metadata("iCCP", b"profile " * 9),
        pack_alpha(bytes(range(100)) * 70, 100, 70),
    ]
    return write(header, [[b"%03dA" % i, b"%03dB%04d" % (i, i)] for i in range(4)], chunks)


SAMPLE = sample()


@given(contents())
def test_round_trip_both_ways(content: Content) -> None:
    header, segments, chunks, drawn = content
    data = write(header, segments, chunks, drawn)
    parsed = parse(data, OPEN)
    assert parsed.header == header
    assert parsed.chunks == tuple(chunks)
    assert parsed.segments == tuple(map(tuple, segments))
    assert parsed.drawn == tuple(drawn)
    assert (parsed.file_bytes, parsed.complete, parsed.warnings) == (len(data), True, ())
    assert write(parsed.header, parsed.segments, parsed.chunks, parsed.drawn) == data
    front = probe(data, OPEN)
    assert (front.header, front.chunks, front.file_bytes) == (header, tuple(chunks), len(data))
    assert probe(data[: front.data_offset], OPEN) == front
    file = compose(header, segments, chunks, drawn)
    assert (len(file), file.data, file.drawn) == (len(data), data, drawn)
    assert all(getattr(file, f.name) == getattr(front, f.name) for f in dataclasses.fields(front))


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_format_errors(data: bytes) -> None:
    for attempt in (data, SAMPLE[:4] + data, SAMPLE[:8] + data):
        for call in (parse, probe):
            with pytest.raises(FormatError):
                call(attempt)


@settings(max_examples=300)
@given(st.data())
def test_edited_files_raise_nothing_but_format_errors(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SAMPLE)))
    end = data.draw(st.integers(start, min(len(SAMPLE), start + 20)))
    edited = SAMPLE[:start] + data.draw(st.binary(max_size=20)) + SAMPLE[end:]
    if edited == SAMPLE:
        return
    with pytest.raises(FormatError):
        parse(edited)
    try:
        parsed = parse(edited, OPEN, allow_partial=True)
    except FormatError:
        return
    assert not parsed.complete


def test_no_flipped_bit_goes_unnoticed() -> None:
    for position in range(8 * len(SAMPLE)):
        damaged = bytearray(SAMPLE)
        damaged[position // 8] ^= 1 << position % 8
        for partial in (False, True):
            with pytest.raises(FormatError):
                parse(bytes(damaged), OPEN, allow_partial=partial)
        if position // 8 < probe(SAMPLE).data_offset:
            with pytest.raises(FormatError):
                probe(bytes(damaged), OPEN)


def test_a_flipped_segment_bit_names_the_segment_and_its_offset() -> None:
    at = SAMPLE.index(b"002A")
    damaged = SAMPLE[:at] + b"102A" + SAMPLE[at + 4 :]
    with pytest.raises(CorruptData, match=f"^segment of tile 2, layer 0 at offset {at}: wrong checksum$"):
        parse(damaged)
    # Also when the caller takes cut files: only what is not there may be missing.
    with pytest.raises(CorruptData, match="segment of tile 2, layer 0"):
        parse(damaged[: at + 8], allow_partial=True)


def test_cut_at_every_offset() -> None:
    whole = parse(SAMPLE)
    front = probe(SAMPLE).data_offset
    order = [(tile, layer) for layer in range(2) for tile in range(4)]
    counts = set()
    for size in range(len(SAMPLE)):
        data = SAMPLE[:size]
        with pytest.raises(Truncated):
            parse(data)
        if size < front:
            for call in (lambda: parse(data, allow_partial=True), lambda: probe(data)):  # noqa: B023
                with pytest.raises(Truncated):
                    call()
            continue
        assert probe(data) == probe(SAMPLE)
        partial = parse(data, allow_partial=True)
        assert not partial.complete
        assert len(partial.warnings) == 1
        assert (partial.header, partial.file_bytes) == (whole.header, len(SAMPLE))
        flat = [partial.segments[tile][layer] for tile, layer in order]
        there = sum(segment is not None for segment in flat)
        assert flat == [whole.segments[t][k] for t, k in order[:there]] + [None] * (8 - there)
        assert front + sum(len(s) + 4 for s in flat if s is not None) <= size
        counts.add(there)
    assert counts == set(range(8))
    assert parse(SAMPLE, allow_partial=True) == whole


def test_what_is_missing_is_told() -> None:
    file = compose(Header(64, 64, 126, ID), [[bytes(8), bytes(8)]])
    data, (first, size) = file.data, file.layer_ends
    told = f"^segments at offset {file.data_offset}: "
    with pytest.raises(
        Truncated, match=f"{told}the file has {size} bytes but the data ends after {size - 1}$"
    ):
        parse(data[:-1])
    with pytest.raises(
        Truncated, match=f"{told}{first} bytes are needed but the data ends after {first - 1}$"
    ):
        parse(data[: first - 1], layers=1)
    cut = parse(data[: first - 1], allow_partial=True)
    assert cut.warnings == ("the data ends early: 2 of 2 segments are missing",)
    assert parse(data[:first], allow_partial=True).warnings == (
        "the data ends early: 1 of 2 segments are missing",
    )


def test_first_layers_are_read_alone() -> None:
    whole, first = parse(SAMPLE), probe(SAMPLE).layer_ends[0]
    for data in (SAMPLE, SAMPLE[:first], SAMPLE[: first + 1]):
        coarse = parse(data, layers=1)
        assert coarse.segments == tuple((layers[0], None) for layers in whole.segments)
        assert (coarse.complete, coarse.warnings) == (True, ())
    assert parse(SAMPLE, layers=2) == whole
    for layers in (-1, 0, 3):
        with pytest.raises(ValueError, match=f"^layers must be from 1 to 2, not {layers}$"):
            parse(SAMPLE, layers=layers)


@pytest.mark.parametrize("extra", [b"\x00", b"PK\x03\x04", SAMPLE])
def test_appended_bytes(extra: bytes) -> None:
    with pytest.raises(CorruptData, match=f"^end of file at offset {len(SAMPLE)}: {len(extra)} more bytes"):
        parse(SAMPLE + extra)


def test_random_payload_damage_is_always_noticed() -> None:
    generator = random.Random(7)
    header = Header(768, 512, 126, ID)
    data = write(header, [[generator.randbytes(2_000), generator.randbytes(6_000)]])
    for _ in range(1_000):
        position = generator.randrange(8 * len(data))
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(FormatError):
            parse(bytes(damaged))


def test_overhead_of_a_plain_picture_is_40_bytes() -> None:
    for tile in (0, 1024):
        segments = [[bytes(4_000), bytes(24_000)]]
        assert len(write(Header(768, 512, 126, ID, tile=tile), segments)) - 28_000 <= 40


@pytest.mark.parametrize(
    ("width", "height", "tile", "count"),
    [
        (768, 512, 0, 1),
        (768, 512, 1024, 1),
        (64, 64, 64, 1),
        (65, 64, 64, 2),
        (129, 193, 64, 12),
    ],
)
def test_tile_count(width: int, height: int, tile: int, count: int) -> None:
    assert tile_count(Header(width, height, 0, ID, tile=tile)) == count


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 65_536},
        {"level": -1},
        {"level": LEVEL_MAX + 1},
        {"bitstream_id": b"short"},
        {"tile": 100},
        {"tile": 65_536},
        {"tile": -64},
        {"layers": 3},
        {"coder_id": 0},
        {"major": 2},
        {"minor": 256},
        {"ignorable": -1},
    ],
)
def test_headers_that_do_not_fit_are_not_written(change: dict[str, Any]) -> None:
    header = dataclasses.replace(Header(64, 64, 126, ID), **change)
    with pytest.raises(ValueError, match=r"must be|only|unknown"):
        write(header, [[b"AAAA", b""]])


def test_the_largest_header_is_written_and_read() -> None:
    header = Header(65_535, 65_535, LEVEL_MAX, ID, tile=64 * 1023)
    assert parse(write(header, [[b"AAAA", b""]] * 4), OPEN).header == header


@pytest.mark.parametrize(
    "segments",
    [
        [],
        [[b"AAAA"]],
        [[b"AAAA", b"", b""]],
        [[b"", b"AAAA"]],
        [[b"AAA", b""]],
        [[b"AAAA", None]],
        [[b"AAAA", b""]] * 2,
    ],
)
def test_segments_that_do_not_fit_are_not_written(segments: list[list[bytes | None]]) -> None:
    with pytest.raises(ValueError, match="segment"):
        write(Header(64, 64, 126, ID), segments)


def test_any_bytes_like_object_is_read() -> None:
    assert parse(bytearray(SAMPLE)) == parse(memoryview(SAMPLE)) == parse(SAMPLE)  # type: ignore[arg-type]


def test_the_byte_half_imports_neither_torch_nor_numpy_nor_pillow() -> None:
    heavy = {"torch", "numpy", "PIL", "constriction"}
    code = f"import sys, vqcodec.bitstream; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("field", ["minor", "ignorable"])
def test_the_byte_fields_of_a_header_are_bounded_each_by_itself(field: str) -> None:
    def written(value: int) -> bytes:
        changed: dict[str, Any] = {field: value}
        return write(dataclasses.replace(Header(8, 8, 200, ID), **changed), [[b"word", b""]])

    assert getattr(parse(written(255)).header, field) == 255
    for value in (-1, 256):
        with pytest.raises(ValueError, match=r"^minor and ignorable must be 0\.\.255$"):
            written(value)


def test_as_many_chunks_as_the_count_can_say_and_no_more() -> None:
    chunks = [Chunk("zAbc", b"")] * 255
    assert parse(write(Header(8, 8, 200, ID), [[b"word", b""]], chunks)).chunks == tuple(chunks)
    with pytest.raises(ValueError, match="at most 255"):
        write(Header(8, 8, 200, ID), [[b"word", b""]], [*chunks, chunks[0]])


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0)])
def test_an_alpha_plane_has_pixels(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"alpha|plane|pixels"):
        pack_alpha(b"", width, height)
