"""Samples by their number: where each lies is known from the beginning."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from vqcodec.datasets.decoding import SUFFIX, Decoder, Sample, Transform, named, to_tensor, warn_of_links
from vqcodec.files import PathLike, files_below, several
from vqcodec.shards import Member, begins_sample, members

_MAPPED = 64
"""Shards that a process keeps open: each takes a file descriptor, of which there are often 1024."""


@dataclass(frozen=True)
class Place:
    """Where a .vqc file lies: all of a file, or a part of a tar shard; and its other parts, by suffix."""

    path: str
    key: str
    offset: int = 0
    size: int = -1
    beside: tuple[tuple[str, int, int], ...] = ()


class VqcDataset(Dataset[Sample]):
    """Random access to the .vqc files in folders, lists and tar shards of this machine.

    Making it reads the shards' headers, no data. An item is a `Sample`; it raises `VQCodecError` where the
    file is damaged, and OSError where it cannot be read.
    """

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike],
        *,
        transform: Transform = to_tensor,
        model: str | None = None,
        **options: Any,
    ) -> None:
        """Find all files.

        Args:
            paths: .vqc files, folders of them (searched through), and tar shards.
            transform: of the decoded PIL image.
            model: None = the installed one that a file needs.
            options: those of `Codec.decompress`, such as preview=1 for the coarse layer alone.

        Raises:
            OSError: one cannot be read.
            CorruptData: a shard is no tar file.
        """
        self._places = [place for path in several(paths) for place in places_of(Path(path))]
        self._decode = Decoder(transform, model, options)
        self._mapped: dict[str, mmap.mmap] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        place = self._places[index]
        if place.size < 0:
            data, beside = Path(place.path).read_bytes(), {}
        else:
            shard = self._shard(place.path)
            data = shard[place.offset : place.offset + place.size]
            beside = {suffix: shard[offset : offset + size] for suffix, offset, size in place.beside}
        with named(place.path if place.size < 0 else f"{place.path}: {place.key}"):
            return {"__key__": place.key, **beside, "image": self._decode(data)}

    def _shard(self, path: str) -> mmap.mmap:
        """A shard's bytes, which need no position that processes could share."""
        shard = self._mapped.pop(path, None)
        if shard is None:
            with Path(path).open("rb") as file:
                shard = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._mapped[path] = shard  # the last one used is the last
        if len(self._mapped) > _MAPPED:
            self._mapped.pop(next(iter(self._mapped))).close()
        return shard

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}


def places_of(path: Path) -> Iterator[Place]:
    """The .vqc files of a folder, a tar shard, or a path alone.

    Raises:
        OSError: it cannot be read.
        CorruptData: a shard is no tar file.
    """
    if path.is_dir():
        for file in sorted(file for file in files_below(path) if file.suffix.lower() == f".{SUFFIX}"):
            yield Place(str(file), file.relative_to(path).with_suffix("").as_posix())
    elif path.suffix.lower() == ".tar":
        with path.open("rb") as shard:
            links: list[str] = []
            with named(str(path)):
                parts = [member for member, _ in members(shard, links)]
        warn_of_links(links, str(path))
        for sample in _by_sample(parts):
            beside = tuple((part.suffix, part.offset, part.size) for part in sample if part.suffix != SUFFIX)
            for part in sample:
                if part.suffix == SUFFIX:
                    yield Place(str(path), part.key, part.offset, part.size, beside)
    else:
        path.stat()  # what is not there is told now, and not by a worker later
        yield Place(str(path), path.stem)


def _by_sample(parts: list[Member]) -> list[list[Member]]:
    found: list[list[Member]] = []
    for part in parts:
        if not found or begins_sample(part, found[-1][0].key, [other.suffix for other in found[-1]]):
            found.append([])
        found[-1].append(part)
    return found
