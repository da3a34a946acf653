"""Tar shards: what is a sample, and where its parts lie."""

from __future__ import annotations

import io
import itertools
import tarfile

import pytest

from vqcodec.errors import CorruptData
from vqcodec.shards import Sample, ShardWriter, members, samples, split_name, whole_tar

GIVEN = [
    Sample("a/1", {"vqc": b"one", "cls": b"7", "seg.png": b""}),
    Sample("a/2", {"vqc": b"two" * 400}),
    Sample("a/2", {"vqc": b"again"}),
]


def shard(given: list[Sample]) -> io.BytesIO:
    file = io.BytesIO()
    writer = ShardWriter(file)
    for sample in given:
        writer.add(sample)
    writer.close()
    file.seek(0)
    return file


def test_what_is_written_is_read():
    assert list(samples(shard(GIVEN))) == GIVEN


def test_the_same_samples_are_the_same_bytes():
    assert shard(GIVEN).getvalue() == shard(GIVEN).getvalue()


def test_members_tell_where_their_bytes_are():
    file = shard(GIVEN)
    data = file.getvalue()
    found = [
        (each.key, each.suffix, data[each.offset : each.offset + each.size]) for each, _ in members(file)
    ]
    assert found == [(sample.key, name, part) for sample in GIVEN for name, part in sample.parts.items()]
    file.seek(0)
    assert [content.read() for _, content in members(file)] == [part for *_, part in found]
    cut = io.BytesIO(data[:513])  # a header, and one of three bytes
    with pytest.raises(CorruptData, match="not a whole tar file"), whole_tar():
        next(members(cut))[1].read()


def test_keys_end_at_the_first_dot_of_the_name():
    assert split_name("a.b/c.D.png") == ("a.b/c", "d.png")
    assert split_name("plain") == ("plain", "")
    assert Sample("k", {"cls": b"", "left.JPG".lower(): b""}).first((".png", ".jpg")) == "left.jpg"
    assert Sample("k", {"cls": b""}).first((".png",)) is None


def test_folders_and_links_are_no_samples():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        folder, link = tarfile.TarInfo("a"), tarfile.TarInfo("a/1.vqc")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        hard = tarfile.TarInfo("a/2.vqc")
        hard.type, hard.linkname = tarfile.LNKTYPE, "a/0.vqc"
        for member in (folder, link, hard):
            tar.addfile(member)
    for read in (samples, members):
        file.seek(0)
        links: list[str] = []
        assert list(read(file, links)) == []
        assert links == ["a/1.vqc", "a/2.vqc"]


@pytest.mark.parametrize("read", [samples, members])
def test_damaged_shards_are_refused(read):
    data = shard(GIVEN).getvalue()
    for wrong in (b"nothing" * 200, data[:1800]):
        with pytest.raises(CorruptData):
            list(read(io.BytesIO(wrong)))


@pytest.mark.parametrize("read", [samples, members])
def test_shards_that_end_early_are_refused_wherever_that_is(read):
    """`tarfile` takes what is cut between two members, or in a header, for whole."""
    data = shard(GIVEN).getvalue()
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for size in range(0, end + 1, 64):
        with pytest.raises(CorruptData):
            list(read(io.BytesIO(data[:size])))
    damaged = bytearray(data)
    damaged[data.index(b"ustar", 512) - 100] ^= 1  # in the second header
    with pytest.raises(CorruptData):
        list(read(io.BytesIO(damaged)))


@pytest.mark.parametrize("read", [samples, members])
def test_a_negative_size_does_not_lead_round_in_circles(read):
    data = shard(GIVEN).getvalue()
    header = bytearray(data[:512])
    header[124:136] = (-512).to_bytes(12, "big", signed=True)  # in base 256, as for large files
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(CorruptData):
        list(itertools.islice(read(io.BytesIO(bytes(header) + data)), 99))
