"""Units whose pictures come out of shards, or go into one."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from vqcodec.batch.jobs import FileResult
from vqcodec.cluster.containers import (
    Entry,
    ParquetWriter,
    TarWriter,
    Writer,
    image_column,
    read_parquet,
    read_rows,
    read_tar,
)
from vqcodec.cluster.task import EXPECTED, Task
from vqcodec.cluster.units import Picture, Unit
from vqcodec.errors import UnsupportedImage
from vqcodec.files import exists_already
from vqcodec.shards import as_key


def convert_shard(unit: Unit, task: Task, tag: str) -> list[FileResult]:
    """All of a unit to one shard, which appears when it is complete; one result if it cannot be written.

    An earlier try of this run is written over: what it did is not known any more, and the bytes are the same.
    """
    output = task.destination.show(unit.output)
    whole = FileResult(task.source.show(unit.shard) if unit.shard else output, output)
    results: list[FileResult] = []
    try:
        changed = task.destination.modified([unit.output])[0]
        if changed is not None and changed < task.started and not task.overwrite:
            if task.skip_existing:
                return [whole]
            raise exists_already(output)
        task.destination.make_parents(unit.output)
        with task.destination.writing(unit.output, tag) as file:
            writer = _open_writer(file, unit, task)
            for entry in _entries(unit, task):
                result, coded = _convert(entry, unit, task)
                key = as_key(entry.key) if task.layout == "tar" else entry.key
                results.append(replace(result, output=f"{output}#{key}"))
                writer.add(entry, coded)
            writer.close()
    except EXPECTED as error:
        return [replace(whole, error=error)]
    return results


def pictures_in(unit: Unit, task: Task, do: Callable[[Picture, bytes], FileResult]) -> list[FileResult]:
    """The pictures of a shard to files in a folder, by `do`."""
    results = []
    taken: set[str] = set()
    try:
        for entry in _entries(unit, task):
            name = PurePosixPath(entry.key)
            output = f"{unit.output}/{name}{task.suffix}"
            picture = Picture(_source(entry, unit), output, inside=True)
            if name.is_absolute() or ".." in name.parts:  # a shard says nothing about other folders
                entry.error = UnsupportedImage(f"a sample may not be called {entry.key}")
            elif output in taken:  # or it would pass for one that an earlier try of this run did
                what = f"would become {task.destination.show(output)}, as an earlier sample does"
                entry.error = FileExistsError(errno.EEXIST, what)
            elif entry.data is not None:
                taken.add(output)
            if entry.data is None or entry.error is not None:
                results.append(FileResult(task.source.show(picture.source), None, error=entry.error))
            else:
                results.append(do(picture, entry.data))
    except EXPECTED as error:
        results.append(FileResult(task.source.show(unit.shard), None, error=error))
    return results


def _convert(entry: Entry, unit: Unit, task: Task) -> tuple[FileResult, bytes | None]:
    """One sample on its way to a shard."""
    result = FileResult(task.source.show(_source(entry, unit)), None)
    begun = time.perf_counter()
    try:
        if entry.data is None:
            raise entry.error or UnsupportedImage("no picture")
        coded, info = task.work(entry.data)
    except EXPECTED as error:
        return replace(result, error=error), None
    return replace(result, info=replace(info, seconds=time.perf_counter() - begun)), coded


def _source(entry: Entry, unit: Unit) -> str:
    return entry.source or f"{unit.shard}#{entry.key}"


def _entries(unit: Unit, task: Task) -> Iterator[Entry]:
    """The samples of a unit.

    Raises:
        CorruptData: its shard is damaged.
        OSError: it cannot be read.
        ValueError: no column with pictures.
    """
    for entry in _raw_entries(unit, task):
        if entry.data is None and entry.error is None:
            entry.error = UnsupportedImage(f"no picture in sample {entry.key}")
        yield entry


def _raw_entries(unit: Unit, task: Task) -> Iterator[Entry]:
    if unit.table is not None:
        yield from read_rows(unit.table, image_column(unit.table.schema, task.column))
    elif unit.shard.endswith(".parquet"):
        yield from read_parquet(_open_parquet(unit, task), task.column)
    elif unit.shard:
        with task.source.open(unit.shard) as file:
            yield from read_tar(file, task.inputs)
    else:
        for picture in unit.pictures:
            entry = Entry(str(picture.output), None, source=picture.source, error=picture.problem)
            try:
                if entry.error is None:
                    entry.data = task.source.read(picture.source)
            except OSError as error:
                entry.error = error
            yield entry


def _open_writer(file: IO[bytes], unit: Unit, task: Task) -> Writer:
    if task.layout == "tar":
        return TarWriter(file, task.suffix)
    schema = None
    if unit.table is not None:
        schema = unit.table.schema
    elif unit.shard.endswith(".parquet"):
        schema = _open_parquet(unit, task).schema_arrow
    return ParquetWriter(file, task.suffix.lstrip("."), schema)


def _open_parquet(unit: Unit, task: Task) -> pq.ParquetFile:
    """Raises OSError or UnsupportedImage."""
    try:
        return pq.ParquetFile(task.source.filesystem.open_input_file(unit.shard), pre_buffer=True)
    except pa.ArrowInvalid as error:
        raise UnsupportedImage(f"not a Parquet file: {error}") from error
