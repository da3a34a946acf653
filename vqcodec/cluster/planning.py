"""From sources (folders, lists, tar shards, Parquet files, tables) to the workers' units."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from vqcodec.batch.jobs import Job, plan
from vqcodec.cluster.storage import Storage
from vqcodec.cluster.units import SUFFIX_OF, Layout, Picture, Unit


def kind_of(paths: Sequence[str]) -> Layout:
    """What a source's paths are, by their suffixes.

    Raises:
        ValueError: several kinds at once.
    """
    suffixes = {PurePosixPath(path).suffix.lower() for path in paths}
    for layout, suffix in SUFFIX_OF.items():
        if suffix in suffixes:
            if suffixes != {suffix}:
                raise ValueError(f"{suffix} files and others cannot be mixed in one call")
            return "tar" if layout == "tar" else "parquet"
    return "files"


def pictures_of(jobs: Iterable[Job]) -> Iterator[Picture]:
    """The same of a plan of this machine's batch; what cannot be looked at has size 0, and fails later."""
    for job in jobs:
        output = None if job.output is None else str(job.output)
        try:
            size = os.stat(job.source or "").st_size  # noqa: PTH116  half the time of pathlib's
        except OSError:
            size = 0
        yield Picture(str(job.source), output, size, job.problem, job.make_parents)


def find_pictures(
    source: Storage,
    paths: Sequence[str],
    destination: str,
    suffix: str,
    suffixes: Sequence[str],
    *,
    recursive: bool = True,
    left_out: Counter[str] | None = None,
) -> list[Picture]:
    """Files, and folders to be searched; outputs mirror the tree below each folder in `destination`.

    As `vqcodec.batch.jobs.plan` for this machine's files, and like it elsewhere.

    Raises:
        OSError: a folder of another storage cannot be listed.
    """
    if source.local:
        # Only their names matter: where the destination is makes no difference to the plan.
        jobs = plan(paths, destination, suffix, recursive=recursive, suffixes=suffixes, left_out=left_out)
        return list(pictures_of(jobs))
    pictures = []
    taken: dict[str, str] = {}
    for given in paths:
        path = given.rstrip("/")
        known = PurePosixPath(path).suffix.lower() in suffixes
        found = [(path, 0)] if known or not recursive else list(source.files(path))
        root = path.rpartition("/")[0] if known or not recursive else path
        for file, size in found:
            pure = PurePosixPath(file)
            if pure.suffix.lower() not in suffixes and file != path:
                if left_out is not None:
                    left_out[pure.suffix.lower()] += 1
                continue
            name = PurePosixPath(file).relative_to(root or ".").with_suffix(suffix)
            output = f"{destination.rstrip('/')}/{name}"
            other = taken.setdefault(output, file)
            problem = None
            if other != file:
                problem = FileExistsError(errno.EEXIST, f"would become {output}, as {other} does")
            pictures.append(Picture(file, output, size, problem))
    return pictures


def plan_into_shards(
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


def plan_shards(source: Storage, paths: Sequence[str], destination: str, layout: Layout) -> list[Unit]:
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


def plan_table(table: pa.Table, destination: str, layout: Layout, per_shard: int) -> list[Unit]:
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
    name = PurePosixPath(output.removeprefix(root + "/").removesuffix(suffix))
    return str(name.with_name(name.name.replace(".", "_")))  # a key ends at the first dot


def _size(source: Storage, path: str) -> int:
    if source.local:
        try:
            return Path(path).stat().st_size
        except OSError:
            return 0
    return source.filesystem.get_file_info(path).size or 0
