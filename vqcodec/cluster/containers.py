"""Samples out of and into tar and Parquet files: a picture, and what is beside it, which stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from vqcodec.errors import CorruptData, UnsupportedImage
from vqcodec.shards import Sample, ShardWriter, as_key, samples, split_name

KEY = "__key__"
IMAGE_COLUMNS = ("image", "vqc", "jpg", "png", "bytes")
"""Where a table's pictures are looked for unless a column is named; then in its first binary column."""
_ROWS = 256


@dataclass
class Entry:
    """One sample.

    Attributes:
        key: its name, without a suffix.
        data: the picture; None where there is none.
        part: the name of the part or column that holds it.
        beside: the other parts, or the other columns of the row.
        source: what messages call it, if not after its shard and key.
        error: why there is no picture.
    """

    key: str
    data: bytes | None
    part: str = ""
    beside: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    error: Exception | None = None


class Writer(Protocol):
    """Takes results one by one."""

    def add(self, entry: Entry, coded: bytes | None) -> None:
        """Append one: its sample, and the result or None where that failed."""

    def close(self) -> None:
        """Write what is left; the file below stays open."""


def read_tar(file: IO[bytes], suffixes: tuple[str, ...]) -> Iterator[Entry]:
    """The samples of a tar shard; the picture is the first part with one of these suffixes.

    Last come the links that are called like pictures, each with an error.

    Raises:
        CorruptData: it is no whole tar file.
    """
    links: list[str] = []
    for sample in samples(file, links):
        part = sample.first(suffixes)
        data = None if part is None else sample.parts.pop(part)
        yield Entry(sample.key, data, part or "", dict(sample.parts))
    for name in links:
        if name.lower().endswith(suffixes):
            problem = UnsupportedImage(f"{name} is a link, and links in tar files are not followed")
            yield Entry(split_name(name)[0], None, error=problem)


def read_parquet(file: pq.ParquetFile, column: str | None) -> Iterator[Entry]:
    """The rows of an open Parquet file.

    Raises:
        CorruptData: it is damaged.
        ValueError: no column with pictures.
    """
    try:
        name, first = image_column(file.schema_arrow, column), 0
        for batch in file.iter_batches(batch_size=_ROWS):
            yield from read_rows(pa.Table.from_batches([batch]), name, first)
            first += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CorruptData(f"not a readable Parquet file: {error}") from error


def read_rows(table: pa.Table, column: str, first: int = 0) -> Iterator[Entry]:
    """The rows of a table whose `column` is binary, or a structure with the fields bytes and path.

    Args:
        first: number of the first row, for those without a name.
    """
    for number, row in enumerate(table.to_pylist(), first):
        held = row.pop(column)
        path = held.get("path") if isinstance(held, dict) else None
        data = held.get("bytes") if isinstance(held, dict) else held
        key = PurePosixPath(str(row.get(KEY) or path or ""))
        if not key.name:  # nothing but slashes
            key = PurePosixPath(f"{number:09}")
        elif path:
            key = key.with_suffix("")
        yield Entry(key.as_posix(), data, column, row)


def image_column(schema: pa.Schema, wanted: str | None) -> str:
    """The name of the column that holds pictures.

    Raises:
        ValueError: there is none, or not the one that was named.
    """
    fitting = [field.name for field in schema if _is_binary(field.type)]
    if wanted is not None:
        if wanted in fitting:
            return wanted
        raise ValueError(f"no column {wanted} with bytes; there are: {', '.join(schema.names)}")
    for name in (*IMAGE_COLUMNS, *fitting):
        if name in fitting:
            return name
    raise ValueError(f"no column with bytes; there are: {', '.join(schema.names)}")


class TarWriter:
    """Results as parts of samples; a failed one is left out with all that stands beside it."""

    def __init__(self, file: IO[bytes], suffix: str) -> None:
        """suffix: of results, with its dot."""
        self._shard = ShardWriter(file)
        self._suffix = suffix.lstrip(".")

    def add(self, entry: Entry, coded: bytes | None) -> None:
        """Columns of a row that are no bytes become one part, json."""
        if coded is None:
            return
        parts = {name: held for name, held in entry.beside.items() if isinstance(held, bytes)}
        others = {name: held for name, held in entry.beside.items() if name not in parts and name != KEY}
        if others:
            parts["json"] = json.dumps(others, default=str).encode()
        self._shard.add(Sample(as_key(entry.key), {self._suffix: coded, **parts}))

    def close(self) -> None:
        """Write the end of the archive."""
        self._shard.close()


class ParquetWriter:
    """Results as a column of rows; a failed one is null, so that all rows stay.

    Of a Parquet file or a table, the schema stays but for the pictures; otherwise it has the columns __key__,
    `column`, and those that the first rows have beside them.
    """

    def __init__(self, file: IO[bytes], column: str, schema: pa.Schema | None = None) -> None:
        self._file, self._column, self._schema = file, column, schema
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, entry: Entry, coded: bytes | None) -> None:
        """Append a row."""
        if self._schema is not None:
            kind = self._schema.field(entry.part).type
            named = {"bytes": coded, "path": f"{entry.key}.{self._column}"}
            held = named if pa.types.is_struct(kind) else coded
            self._rows.append({**entry.beside, entry.part: held})
        else:
            self._rows.append({KEY: entry.key, self._column: coded, **entry.beside})
        if len(self._rows) >= _ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, self._schema or pa.schema([(KEY, pa.string())]))
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        if self._schema is None:  # pyarrow would take the first row's columns alone
            columns = dict.fromkeys(name for row in rows for name in row)
            rows = [{**columns, **row} for row in rows]
        table = pa.Table.from_pylist(rows, schema=self._schema)
        if self._writer is None:
            if self._schema is None:  # where no result is there yet, its type would be null
                place = table.schema.get_field_index(self._column)
                self._schema = table.schema.set(place, pa.field(self._column, pa.binary()))
                table = table.cast(self._schema)
            self._writer = pq.ParquetWriter(self._file, self._schema)
        self._writer.write_table(table)


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
