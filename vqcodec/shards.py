"""Tar shards as WebDataset lays them out: neighbouring members that share a key are one sample.

`a/0001.jpg` and `a/0001.cls` are the parts "jpg" and "cls" of the sample "a/0001": the key ends at the first
dot of the name.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import IO, Literal

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

    name: str
    key: str
    suffix: str
    offset: int
    size: int


def split_name(name: str) -> tuple[str, str]:
    """The key and the suffix of a member: "a/b.seg.png" -> ("a/b", "seg.png")."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def samples(file: IO[bytes], links: list[str] | None = None) -> Iterator[Sample]:
    """The samples of a tar file, read once from its position on; also from a pipe.

    Args:
        links: takes the names of links, hard and symbolic ones, which are left out.

    Raises:
        CorruptData: it is no tar file, or ends early.
        OSError: it cannot be read.
    """
    sample = Sample("")
    with whole_tar():
        for member, content in _files(file, "r|", links):
            if begins_sample(member, sample.key, sample.parts):
                if sample.parts:
                    yield sample
                sample = Sample(member.key)
            sample.parts[member.suffix] = content.read()
    if sample.parts:
        yield sample


def members(file: IO[bytes], links: list[str] | None = None) -> Iterator[tuple[Member, IO[bytes]]]:
    """The parts of a tar file's samples, each with a file to read it from; nothing of them is read yet.

    Args:
        file: can be sought in.
        links: as of `samples`.

    Raises:
        CorruptData: it is no tar file, or ends early. What reads a part does so within `whole_tar`.
    """
    with whole_tar():
        yield from _files(file, "r:", links)


def begins_sample(member: Member, key: str, suffixes: Collection[str]) -> bool:
    """Whether a member is not of the sample before it, whose key and suffixes these are."""
    return member.key != key or member.suffix in suffixes


@contextlib.contextmanager
def whole_tar() -> Iterator[None]:
    """Turns what `tarfile` raises into `CorruptData`."""
    try:
        yield
    except tarfile.TarError as error:
        raise CorruptData(f"not a whole tar file: {error}") from error


class _Header(tarfile.TarInfo):
    """Of a member; `tarfile` takes a header that is cut or damaged, but for the first one, for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise
        except HeaderError as error:
            raise ReadError(str(error)) from error


def _files(
    file: IO[bytes], mode: Literal["r|", "r:"], links: list[str] | None
) -> Iterator[tuple[Member, IO[bytes]]]:
    with tarfile.open(fileobj=file, mode=mode, tarinfo=_Header) as tar:
        last = -1
        for found in tar:
            if found.size < 0 or found.offset_data <= last:  # Pythons before 2025 go round in circles there
                raise ReadError("a member of negative size")
            last = found.offset_data
            if links is not None and (found.islnk() or found.issym()):
                links.append(found.name)
            content = tar.extractfile(found) if found.isfile() else None
            if content is not None:
                yield Member(found.name, *split_name(found.name), found.offset_data, found.size), content


def as_key(name: str) -> str:
    """A name as a key, which ends at the first dot of its last part: "a.b/c.d" -> "a.b/c_d"."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.replace(".", "_")


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
