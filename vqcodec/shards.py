"""Tar shards as WebDataset lays them out: neighbouring members that share a key are one sample.

`a/0001.jpg` and `a/0001.cls` are the parts "jpg" and "cls" of the sample "a/0001": the key ends at the first
dot of the name.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from vqcodec.errors import CorruptData


@dataclass
class Sample:
    """Files that belong together, by their suffixes in lower case, without the leading dot."""

    key: str
    parts: dict[str, bytes] = field(default_factory=dict)

    def first(self, suffixes: tuple[str, ...]) -> str | None:
        """The first part whose last suffix (".jpg") is one of these; None if there is none."""
        return next((name for name in self.parts if "." + name.rpartition(".")[2] in suffixes), None)


@dataclass(frozen=True)
class Member:
    """Where a part of a sample lies in a tar file: bytes `offset` to `offset + size`."""

    key: str
    suffix: str
    offset: int
    size: int


def split_name(name: str) -> tuple[str, str]:
    """The key and the suffix of a member: "a/b.seg.png" -> ("a/b", "seg.png")."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def samples(file: IO[bytes]) -> Iterator[Sample]:
    """The samples of a tar file, read once from its position on; also from a pipe.

    Raises:
        CorruptData: it is no tar file, or ends early.
        OSError: it cannot be read.
    """
    sample = Sample("")
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                key, suffix = split_name(member.name)
                if key != sample.key or suffix in sample.parts:
                    if sample.parts:
                        yield sample
                    sample = Sample(key)
                sample.parts[suffix] = content.read()
    except tarfile.TarError as error:
        raise CorruptData(f"not a whole tar file: {error}") from error
    if sample.parts:
        yield sample


def members(file: IO[bytes]) -> Iterator[Member]:
    """Where the parts of a tar file's samples are, without reading them; the file can be sought in.

    Raises:
        CorruptData: it is no tar file, or ends early.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isfile():
                    yield Member(*split_name(member.name), member.offset_data, member.size)
    except tarfile.TarError as error:
        raise CorruptData(f"not a whole tar file: {error}") from error


class ShardWriter:
    """Writes samples to a tar file; the same samples give the same bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, sample: Sample) -> None:
        """Append a sample."""
        for suffix, data in sample.parts.items():
            member = tarfile.TarInfo(f"{sample.key}.{suffix}" if suffix else sample.key)
            member.size, member.mode = len(data), 0o644
            self._tar.addfile(member, io.BytesIO(data))

    def close(self) -> None:
        """Write the end of the archive; the file stays open."""
        self._tar.close()
