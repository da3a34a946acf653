"""The manifest: a folder of Parquet files with a row for every file of a run, whatever became of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vqcodec.batch.jobs import FileResult
from vqcodec.cluster.storage import Storage
from vqcodec.types import Compared, ImageInfo

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("output", pa.string()),
        ("status", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("bpp", pa.float64()),
        ("level", pa.int32()),
        ("coder", pa.string()),
        ("model", pa.string()),
        ("psnr", pa.float64()),
        ("seconds", pa.float64()),
        ("error", pa.string()),
        ("run", pa.string()),
    ]
)
"""status: ok, skipped or failed; coder: networks, webp (all is drawn), or both; bytes, bpp and level: of the
.vqc file; psnr: dB, if asked for; seconds: reading and coding; null where there is no such thing."""

_ROWS = 20_000
_SECONDS = 60.0


class Manifest:
    """Gathers rows and writes a file of them now and then, so that a run that dies has told what it did."""

    def __init__(self, storage: Storage, folder: str, run: str, settings: Mapping[str, Any]) -> None:
        """Makes the folder; settings: of the run, which go into a small JSON file beside the rows.

        Raises:
            OSError: it cannot be written.
        """
        self._storage, self._folder, self._run = storage, folder.rstrip("/"), run
        self._parts = 0
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()
        name = f"{self._folder}/_{run}.json"  # readers of Parquet folders leave out what begins with _
        storage.make_parents(name)
        storage.write(name, json.dumps({"run": run, **settings}, default=str, indent=1).encode())

    def add(self, result: FileResult) -> None:
        """Append a row.

        Raises:
            OSError: the manifest cannot be written.
        """
        self._rows.append({**row_of(result), "run": self._run})
        if len(self._rows) >= _ROWS or time.monotonic() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered.

        Raises:
            OSError: it cannot be written.
        """
        self._written = time.monotonic()
        if not self._rows:
            return
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA), sink)
        name = f"{self._folder}/{self._run}-{self._parts:05}.parquet"
        self._storage.write(name, sink.getvalue().to_pybytes())
        self._rows = []
        self._parts += 1


def row_of(result: FileResult) -> dict[str, Any]:
    """A result by the columns of `SCHEMA`, but for run."""
    row: dict[str, Any] = {
        "path": None if result.source is None else _text(result.source),
        "output": None if result.output is None else _text(result.output),
        "status": "skipped" if result.skipped else "ok" if result.error is None else "failed",
    }
    if result.error is not None:
        row["error"] = " ".join(_text(result.error).split()) or type(result.error).__name__
    info = result.info
    if info is not None:
        row |= {
            "width": info.width,
            "height": info.height,
            "bytes": info.file_bytes,
            "bpp": info.bpp,
            "level": info.level,
            "coder": _coder(info),
            "model": info.bitstream_id,
            "psnr": info.psnr if isinstance(info, Compared) else None,
            "seconds": info.seconds,
        }
    return row


def _text(what: object) -> str:
    """As text; bytes of a name that are no UTF-8 become escapes, since Parquet takes UTF-8 alone."""
    return str(what).encode("utf-8", "backslashreplace").decode()


def _coder(info: ImageInfo) -> str:
    if not info.needs_model:
        return "webp"
    return "both" if info.drawn_bytes else "networks"
