"""FORMAT.md against the code: its tables and hex dump hold, and a reader made from the page alone agrees."""

from __future__ import annotations

import io
import math
import re
import zlib
from dataclasses import dataclass
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vqcodec import errors
from vqcodec.bitstream import chunks, fields, header, parse, probe, tile_count, write
from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX, with_frame
from vqcodec.types import LEVEL_MAX, Chunk, Header, Limits

PAGE = files("vqcodec.bitstream").joinpath("FORMAT.md").read_text(encoding="utf-8")


def tables(section: str) -> list[list[list[str]]]:
    """All tables of a `## section`: rows of stripped cells, without the head."""
    text = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert text, f"FORMAT.md has no section {section}"
    blocks = re.findall(r"(?:^\|.*\n?)+", text[1], re.M)
    return [[[c.strip() for c in line.strip("|").split("|")] for line in b.splitlines()[2:]] for b in blocks]


Dump = list[tuple[int, bytes, str, str]]


def dump(section: str = "Example") -> Dump:
    """Offset, bytes, field and value of each row of a section's hex dump, its last table."""
    rows = tables(section)[-1]
    return [(int(o), bytes.fromhex(b.strip("`")), name, value) for o, b, name, value in rows]


EXAMPLE = b"".join(row[1] for row in dump())
BARE_EXAMPLE = b"".join(row[1] for row in dump("Bare files"))


def test_the_example_is_what_the_code_writes() -> None:
    example = Header(96, 64, 126, bytes(range(1, 9)), tile=64)
    segments = [[b"AAAA", b"CCCC"], [b"BBBBbbbb", b""]]
    assert write(example, segments, [Chunk("mODL", b"tiny")]) == EXAMPLE
    parsed = parse(EXAMPLE)
    assert parsed.header == example
    assert parsed.segments == tuple(map(tuple, segments))
    assert probe(EXAMPLE[:44]).data_offset == 44


@pytest.mark.parametrize(
    ("section", "file"), [("Example", EXAMPLE), ("Bare files", BARE_EXAMPLE)], ids=["usual", "bare"]
)
def test_offsets_and_checksums_of_the_dumps_hold(section: str, file: bytes) -> None:
    position = 0
    for offset, data, name, value in dump(section):
        assert offset == position, name
        position += len(data)
        covered = [(int(a), int(b) + 1) for a, b in re.findall(r"(\d+) to (\d+)", value)]
        if name.endswith("CRC"):
            assert covered or value == "of no bytes"
            assert zlib.crc32(b"".join(file[a:b] for a, b in covered)) == int.from_bytes(data, "little"), name
    assert f"A file of {len(EXAMPLE)} bytes" in PAGE


def test_the_bare_example_is_what_the_code_writes_and_a_picture() -> None:
    parsed = parse(BARE_EXAMPLE)
    assert parsed.header == header.bare_header(Header(16, 16, 0, bytes(8)))
    assert write(parsed.header, parsed.segments, parsed.chunks, parsed.drawn) == BARE_EXAMPLE
    assert Image.open(io.BytesIO(with_frame(parsed.drawn[0] or b""))).size == (16, 16)


def test_the_table_of_what_a_bare_file_leaves_out_matches() -> None:
    rows = dict(tables("Bare files")[0])
    told = {name: re.search(r"^left out: (\w+ zero bytes|\d+)", text) for name, text in rows.items()}
    left_out = {name: match[1] for name, match in told.items() if match}
    id_ = "eight zero bytes" if header.BARE["bitstream_id"] == bytes(8) else ""
    plain = {name: str(header.BARE[name]) for name in ("level", "tile", "coder_id")}
    assert left_out == {"bitstream_id": id_, **plain}
    # Its fixed header is that of other files without these, in the same order.
    (fixed,) = tables("Fixed header")
    names = [row[0] for row in fixed if row[0] not in left_out]
    assert [row[2] for row in dump("Bare files")][: len(names) + 1] == [*names, "table of contents"]


def test_the_field_tables_are_in_the_order_of_the_example() -> None:
    (fixed,) = tables("Fixed header")
    record, _ = tables("Chunks")
    names = [row[0] for row in fixed] + ["chunk count"] + [row[0] for row in record]
    assert [row[2] for row in dump()][: len(names)] == names
    for (name, _, size, _), (_, data, _, _) in zip(fixed, dump(), strict=False):
        bounds = [int(n) for n in size.split(" to ")]
        assert bounds[0] <= len(data) <= bounds[-1], name
    sizes = {row[0]: row[2] for row in fixed}
    assert sizes["width"].endswith(str(len(fields.encode_varint(header.SIDE_MAX))))
    assert sizes["tile"].endswith(str(len(fields.encode_varint(header.TILE_UNITS_MAX))))
    values = {row[0]: row[3] for row in fixed}
    assert values["magic"].startswith(f"`{header.MAGIC.hex(' ').upper()}`")
    assert values["major version"] == str(header.MAJOR)
    assert values["width"] == values["height"] == f"1 to {header.SIDE_MAX} pixels"
    assert values["level"] == f"0 to {LEVEL_MAX}"
    assert values["tile"] == f"0 to {header.TILE_UNITS_MAX}, in units of {header.TILE_UNIT} pixels"
    assert values["coder_id"] == "/".join(map(str, header.CODER_WORD_BYTES))


def test_the_chunk_table_lists_what_the_code_knows() -> None:
    _, known = tables("Chunks")
    assert [row[0].strip("`") for row in known] == list(chunks.KNOWN)
    for kind, size, content in known:
        rule = chunks.KNOWN[kind.strip("`")]
        largest = "or more" if rule.largest is None else f"to {rule.largest}"
        assert size == f"{rule.smallest} {largest}"
        assert bool(rule.methods) == content.startswith(("method", "filter")), kind


def test_the_limits_table_matches() -> None:
    (rows,) = tables("Limits")
    assert dict(rows) == {
        "layers": str(header.LAYERS),
        "highest level": str(LEVEL_MAX),
        "longest side, format": str(header.SIDE_MAX),
        "tile unit, pixels": str(header.TILE_UNIT),
        "largest tile field": str(header.TILE_UNITS_MAX),
        "most chunks": str(chunks.CHUNKS_MAX),
        "longest model name, bytes": str(chunks.KNOWN["mODL"].largest),
        "longest varint, bytes": str(fields.VARINT_BYTES),
        "longest side of a drawn tile, and of a bare file": str(DRAWN_SIDE_MAX),
        "longest side, default": str(Limits().side),
        "most pixels, default": str(Limits().pixels),
        "most tiles, default": str(Limits().tiles),
        "longest chunk and metadata content, bytes, default": str(Limits().metadata),
    }
    picture = Header(33, 77, 0, bytes(8), alpha=True)
    n = 33 * 77
    assert chunks.alpha_bound(picture) == 1 + n + math.floor(n / 1024) + 64


def test_every_error_in_the_table_exists() -> None:
    (rows,) = tables("Errors")
    named = {row[-1] for row in rows}
    assert named == {"CorruptData", "Truncated", "UnsupportedVersion", "LimitExceeded", "ModelMismatch"}
    assert all(issubclass(getattr(errors, name), errors.VQCodecError) for name in named)


def test_the_version_history_ends_with_the_version_of_the_page() -> None:
    (rows,) = tables("Version history")
    assert f"Format version **{rows[-1][0]}**" in PAGE
    assert rows[-1][0].split(".")[0] == str(header.MAJOR)


@dataclass
class Stranger:
    """A reader of valid files written from FORMAT.md alone; shares no code with the package."""

    data: bytes
    at: int = 0

    def some(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.some(1)
            value += (byte % 128) << shift
            shift += 7
            if byte < 128:
                return value

    def crc(self, *covered: bytes) -> None:
        assert int.from_bytes(self.some(4), "little") == zlib.crc32(b"".join(covered))

    def read(self) -> tuple[dict[str, object], list[tuple[str, bytes]], dict[tuple[int, int], bytes]]:
        assert self.some(5) == b"\x89VQC\x01"
        minor, critical, ignorable = self.some(3)
        bare = critical // 8
        found: dict[str, object] = {"minor": minor, "ignorable": ignorable}
        found["bitstream_id"] = bytes(8) if bare else self.some(8)
        width, height = self.varint(), self.varint()
        level = 252 if bare else self.some(1)[0]
        (colour,) = self.some(1)
        tile = 0 if bare else 64 * self.varint()
        assert bare or self.some(1) == b"\x01"
        found.update(width=width, height=height, level=level, tile=tile)
        found.update(gray=colour % 2 == 1, alpha=colour >= 2, tune=["eyes", "psnr"][critical // 2 % 2])
        extras = []
        count = self.varint() if critical % 2 else 0
        front = self.data[: self.at]
        for _ in range(count):
            kind = self.some(4)
            payload = self.some(self.varint())
            self.crc(kind, payload)
            extras.append((kind.decode(), payload))
        tiles = math.ceil(width / tile) * math.ceil(height / tile) if tile else 1
        start = self.at
        drawn = critical // 4 % 2
        if bare:
            assert (drawn, critical // 2 % 2) == (1, 0)
            lengths = [self.varint(), 0, 0]
        else:
            lengths = [4 * self.varint() for _ in range((drawn + 2) * tiles)]
        self.crc(front, self.data[start : self.at])
        segments = {}
        for index, length in enumerate(lengths):
            place = index % tiles, index // tiles - drawn
            segments[place] = self.some(length)
            if length:
                self.crc(segments[place])
        assert self.at == len(self.data)
        return found, extras, segments


def test_the_stranger_reads_the_example() -> None:
    found, extras, segments = Stranger(EXAMPLE).read()
    assert (found["width"], found["height"], found["level"], found["tile"]) == (96, 64, 126, 64)
    assert extras == [("mODL", b"tiny")]
    assert segments == {(0, 0): b"AAAA", (1, 0): b"BBBBbbbb", (0, 1): b"CCCC", (1, 1): b""}


@given(
    st.builds(
        Header,
        width=st.integers(1, 65_535),
        height=st.integers(1, 400),
        level=st.integers(0, LEVEL_MAX),
        bitstream_id=st.binary(min_size=8, max_size=8),
        gray=st.booleans(),
        tile=st.sampled_from([0, 4096, 8192, 65_472]),
        minor=st.integers(0, 255),
        ignorable=st.integers(0, 255),
        tune=st.sampled_from(["eyes", "psnr"]),
    ),
    st.binary(min_size=1, max_size=200),
    st.lists(st.binary(max_size=200).map(lambda data: Chunk("noTE", data)), max_size=3),
)
def test_the_stranger_reads_what_the_code_writes(head: Header, seed: bytes, extra: list[Chunk]) -> None:
    segments = [[seed * 4, seed[:tile] * 4] for tile in range(tile_count(head))]
    found, extras, read = Stranger(write(head, segments, extra)).read()
    assert found == {name: getattr(head, name) for name in found}
    assert extras == [(chunk.type, chunk.data) for chunk in extra]
    assert read == {(t, k): segments[t][k] for t in range(len(segments)) for k in range(2)}


@pytest.mark.parametrize("topic", ["Entropy coder", "Symbol order", "Tables", "Integer prior"])
def test_segment_coding_has_its_sections(topic: str) -> None:
    text = re.search(r"^## Segment coding\n(.*?)(?=^## )", PAGE, re.M | re.S)
    assert text
    assert f"\n### {topic}\n" in text[1]
