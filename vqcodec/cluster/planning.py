"""From sources (folders, lists, tar shards, Parquet files, tables) to the workers' units."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from vqcodec.batch.jobs import Job
from vqcodec.cluster.finding import find_pictures, kind_of, matching, pictures_of
from vqcodec.cluster.locations import locate
from vqcodec.cluster.storage import Storage
from vqcodec.cluster.units import LAYOUTS, SUFFIX_OF, Layout, Picture, Unit, in_units
from vqcodec.files import PathLike
from vqcodec.shards import as_key

Source = Any
"""A path or URI, several of them, or a pyarrow.Table."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        folder: of the destination, for its clock and the manifest; None = nothing is written.
        suffix: of results, with its dot.
        inputs: suffixes of what is looked for in shards.
        layout: of the destination.
        column: of a table, that holds pictures.
        pictures: each to a file of its own.
        units: those of shards.
    """

    source: Storage
    destination: Storage
    folder: str | None
    suffix: str
    inputs: tuple[str, ...]
    layout: Layout = "files"
    column: str | None = None
    pictures: tuple[Picture, ...] = ()
    units: tuple[Unit, ...] = ()

    @property
    def count(self) -> int:
        """Files to convert, as far as it is known: a shard counts as one."""
        return len(self.pictures) + len(self.units)

    def cut(self, workers: int) -> list[Unit]:
        """The units for so many workers."""
        return [*self.units, *in_units(self.pictures, workers)]


def plan_jobs(jobs: Iterable[Job], suffix: str, inputs: Sequence[str]) -> Plan:
    """The plan of this machine's batch, to be done by a cluster that sees the same files."""
    pictures = tuple(pictures_of(jobs))
    outputs = (
        picture.output for picture in pictures if picture.output is not None and picture.problem is None
    )
    output = next(outputs, None)
    here = locate([])[0]
    folder = None if output is None else str(Path(output).parent)
    return Plan(here, here, folder, suffix, tuple(inputs), pictures=pictures)


def plan_dataset(
    source: Source,
    destination: PathLike,
    suffix: str,
    inputs: Sequence[str],
    *,
    layout: Layout | None = None,
    column: str | None = None,
    per_shard: int = 1000,
    recursive: bool = True,
    filesystem: Any = None,
    destination_filesystem: Any = None,
    left_out: Counter[str] | None = None,
) -> Plan:
    """Any source to any destination; the arguments are those of `compress_dataset`.

    Args:
        suffix: of results, with its dot.
        inputs: suffixes of what is looked for in folders and shards.
        left_out: counts the suffixes of other files.

    Raises:
        OSError: the source cannot be listed, or has nothing to do.
        ValueError: a bad option, or sources of several kinds.
    """
    if per_shard < 1:
        raise ValueError(f"per_shard must be 1 or more, not {per_shard}")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    to, (folder,) = locate([destination], destination_filesystem)
    if to.local and not folder:
        folder = "."  # and not the root, as what stands before a slash
    if isinstance(source, pa.Table):
        kind = layout or "parquet"
        plan = Plan(locate([])[0], to, folder, suffix, tuple(inputs), kind, column)
        return replace(plan, units=tuple(_of_table(source, folder, kind, per_shard)))
    given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    storage, named = locate(given, filesystem)
    shown = ", ".join(map(str, given))
    paths = []
    for name in named:
        if not (match := matching(storage, name)):
            raise FileNotFoundError(errno.ENOENT, "no such files", storage.show(name))
        paths += match
    if not paths:
        raise FileNotFoundError(errno.ENOENT, "no files are named", shown)
    found = kind_of(paths)
    kind = layout or found
    plan = Plan(storage, to, folder, suffix, tuple(inputs), kind, column)
    if found != "files":
        return replace(plan, units=tuple(_of_shards(storage, paths, folder, kind)))
    left_out = Counter() if left_out is None else left_out
    pictures = find_pictures(storage, paths, folder, suffix, inputs, recursive=recursive, left_out=left_out)
    if not pictures:
        reason = f"no files ending in {', '.join(inputs)}"
        if shards := [f"'{given[0]}/*{kind}'" for kind in SUFFIX_OF.values() if left_out[kind]]:
            reason += f"; shards in it are {' and '.join(shards)}"
        raise FileNotFoundError(errno.ENOENT, reason, shown)
    if kind == "files":
        return replace(plan, pictures=tuple(pictures))
    return replace(plan, units=tuple(_into_shards(pictures, folder, kind, per_shard, suffix)))


def _into_shards(
    pictures: Sequence[Picture], destination: str, layout: Layout, per_shard: int, suffix: str
) -> list[Unit]:
    """Many files into each tar or Parquet file, in the order of their names.

    A shard's name tells its number and a hash of the names in it: of a source that has changed, a shard with
    other pictures never passes for one that is there.
    """
    root = destination.rstrip("/")
    units = []
    for number, start in enumerate(range(0, len(pictures), per_shard)):
        inside = tuple(
            # Within a shard, an output is a member's name.
            replace(picture, output=_inside(picture.output or "", root, suffix))
            for picture in pictures[start : start + per_shard]
        )
        names = "\0".join(f"{picture.source}\0{picture.size}" for picture in inside)
        digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        units.append(Unit(number, inside, output=f"{root}/{number:06}-{digest}{SUFFIX_OF[layout]}"))
    return units


def _of_shards(source: Storage, paths: Sequence[str], destination: str, layout: Layout) -> list[Unit]:
    """Every shard to one of the same name, or the pictures in it to files in a folder of its name.

    The largest come first.
    """
    sized = [(_size(source, path), path) for path in paths]
    units = []
    for number, (_, path) in enumerate(sorted(sized, key=lambda pair: (-pair[0], pair[1]))):
        name = PurePosixPath(path).stem + SUFFIX_OF.get(layout, "")
        units.append(Unit(number, shard=path, output=f"{destination.rstrip('/')}/{name}"))
    outputs = Counter(unit.output for unit in units)
    for output, count in outputs.items():
        if count > 1:
            raise ValueError(f"{count} of the shards would become {output}")
    return units


def _of_table(table: pa.Table, destination: str, layout: Layout, per_shard: int) -> list[Unit]:
    """Slices of a table to tar or Parquet files, or to files in a folder for each slice."""
    return [
        Unit(
            number,
            table=table.slice(start, per_shard).combine_chunks(),
            output=f"{destination.rstrip('/')}/{number:06}{SUFFIX_OF.get(layout, '')}",
        )
        for number, start in enumerate(range(0, table.num_rows, per_shard))
    ]


def _inside(output: str, root: str, suffix: str) -> str:
    return as_key(str(PurePosixPath(output.removeprefix(root + "/").removesuffix(suffix))))


def _size(source: Storage, path: str) -> int:
    if source.local:
        try:
            return Path(path).stat().st_size
        except OSError:
            return 0
    return source.filesystem.get_file_info(path).size or 0
