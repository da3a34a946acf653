"""Which pictures a dataset has: folders, lists and patterns of names, here and in object stores."""

from __future__ import annotations

import errno
import fnmatch
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from vqcodec.batch.jobs import Job, plan
from vqcodec.cluster.storage import Storage
from vqcodec.cluster.units import SUFFIX_OF, Layout, Picture


def matching(storage: Storage, path: str) -> list[str]:
    """What a path with * or ? in its last part stands for, sorted; any other path stands for itself.

    So does one that is there: brackets are common in names.
    """
    folder, _, name = path.rpartition("/")
    if not any(mark in name for mark in "*?[") or storage.exists(path):
        return [path]
    found = storage.files(folder or ".", recursive=False)
    return [each for each, _ in found if fnmatch.fnmatchcase(each.rpartition("/")[2], name)]


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
