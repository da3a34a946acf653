"""Reading the beginning of a file: enough of it, little more, and from every kind of source."""

from __future__ import annotations

import io
import os
import random
import zlib
from pathlib import Path
from typing import Any

import pytest

from vqcodec.bitstream import pack_alpha, pack_metadata, probe, write
from vqcodec.bitstream.partial import file_size, opened, read_file, read_front, read_layers
from vqcodec.errors import CorruptData, LimitExceeded, Truncated
from vqcodec.probing import verify
from vqcodec.types import Chunk, Header, Limits

HEADER = Header(640, 480, 0, bytes(8))
SMALL = Limits(pixels=640 * 480 - 1)


def file_with(metadata: int, coarse: int = 400, fine: int = 40_000) -> bytes:
    """A file whose EXIF block and layers have so many bytes."""
    noise = random.Random(1).randbytes(metadata)
    chunks = [pack_metadata("eXIF", noise)] if metadata else []
    return write(HEADER, [[bytes(coarse), bytes(fine)]], chunks)


class Counted(io.BytesIO):
    """A file that counts what is read of it, and at most how much at a time."""

    read_bytes, largest = 0, 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        self.largest = max(self.largest, len(data))
        return data


@pytest.mark.parametrize("begin", [b"", b"\x89PNG", file_with(0)])
def test_of_an_endless_file_little_is_read(tmp_path: Path, begin: bytes):
    """A terabyte that takes no disk: not one of ours, or one of ours and then zeros."""
    path, size = tmp_path / "endless.vqc", 1 << 40
    path.write_bytes(begin)
    os.truncate(path, size)
    whole = len(file_with(0))
    wanted = f"{size - whole} more bytes follow" if len(begin) == whole else "this is not a .vqc file"
    for call in (read_file, verify):
        with pytest.raises(CorruptData, match=wanted):
            call(path)


def test_whole_files_are_read_from_every_kind_of_source(tmp_path: Path):
    data = file_with(5_000)
    path = tmp_path / "x.vqc"
    path.write_bytes(data)
    pipe = io.BytesIO(data)
    pipe.seekable = lambda: False  # type: ignore[method-assign]
    for source in (path, str(path), data, bytearray(data), io.BytesIO(data), pipe):
        assert read_file(source) == data
    # Files that end early are for `parse` to judge, if their front is there.
    assert read_file(io.BytesIO(data[:-1])) == data[:-1]
    with pytest.raises(Truncated):
        read_file(io.BytesIO(data[:20]))
    with pytest.raises(LimitExceeded):
        read_file(io.BytesIO(data), SMALL)
    for more in (io.BytesIO(data + b"abc"), path):
        if more is path:
            path.write_bytes(data + b"abc")
        with pytest.raises(CorruptData, match=f"^end of file at offset {len(data)}: 3 more bytes follow$"):
            read_file(more)


@pytest.mark.parametrize("metadata", [0, 4_000, 5_000, 32_000, 33_000, 300_000])
def test_the_front_is_read_in_growing_steps_and_no_further_than_eight_times_what_it_takes(metadata):
    data = file_with(metadata, fine=4_000_000)
    file = Counted(data)
    front, prefix = read_front(file)
    assert front == probe(data)
    assert data.startswith(prefix)
    assert file.read_bytes == len(prefix) <= 8 * max(4096, front.data_offset)
    assert file.largest <= 7 / 8 * len(prefix) or len(prefix) == 4096
    for end in (0, 20, front.data_offset - 1):
        with pytest.raises(Truncated):
            read_front(io.BytesIO(data[:end]))


def test_the_first_layer_is_read_and_nothing_behind_it():
    for coarse in (400, 20_000):
        data = file_with(0, coarse)
        end = max(4096, probe(data).layer_ends[0])
        assert read_layers(io.BytesIO(data), 1) == (data[:end], len(data))
        assert read_layers(data, 2) == (data, len(data))


def test_limits_hold_before_anything_else():
    data = file_with(0)
    with pytest.raises(LimitExceeded, match="pixels exceed the limit"):
        read_front(io.BytesIO(data), SMALL)
    with pytest.raises(LimitExceeded, match="pixels exceed the limit"):
        read_layers(data, 1, SMALL)


def test_sources_are_paths_bytes_and_files_from_their_position_on(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    file = io.BytesIO(b"abcdef")
    for source in (path, str(path), b"abcdef", bytearray(b"abcdef"), memoryview(b"abcdef"), file):
        with opened(source) as found:
            assert found.read(2) == b"ab"
            assert file_size(found, 2) == 6
            assert found.read() == b"cdef"
            assert source is not file or found is file  # not a copy of all that is in it
    assert not file.closed  # it is its owner's
    nothing: Any = 5
    with pytest.raises(TypeError, match="expected a path, bytes or a binary file"), opened(nothing):
        pass


def test_what_is_left_of_a_pipe_is_counted():
    pipe = io.BytesIO(b"abcdef")
    pipe.seekable = lambda: False  # type: ignore[method-assign]
    pipe.read(2)
    assert file_size(pipe, 2) == 6


def test_metadata_is_packed_as_small_as_deflate_makes_it():
    assert pack_metadata("eXIF", bytes(1000)).data == b"\x01" + zlib.compress(bytes(1000), 9)
    rows = bytes(range(64)) * 2
    packed = b"\x00" + zlib.compress(rows, 9), b"\x01" + zlib.compress(bytes(range(64)) + bytes(64), 9)
    assert pack_alpha(rows, 64, 2).data == min(packed, key=len)
    assert pack_alpha(bytes(64), 64, 1).data == b"\x00" + zlib.compress(bytes(64), 9)
    tie = next(bytes(n) for n in range(1, 100) if len(zlib.compress(bytes(n), 9)) == n)
    assert pack_metadata("eXIF", tie).data == b"\x00" + tie


@pytest.mark.parametrize(
    ("kept", "field"),
    [(2, "chunk type"), (4, "chunk 'qqqq' length"), (7, "chunk 'qqqq'"), (306, "chunk 'qqqq' CRC")],
)
def test_the_field_in_which_the_data_ends_is_named(kept, field):
    data = write(HEADER, [[bytes(4), b""]], [Chunk("aaaa", bytes(40)), Chunk("qqqq", bytes(300))])
    at = data.index(b"qqqq")
    with pytest.raises(Truncated, match=f"^{field} at offset "):
        probe(data[: at + kept])
    with pytest.raises(Truncated, match=r"^chunks at offset "):
        probe(data[: data.index(b"aaaa") + 8])
