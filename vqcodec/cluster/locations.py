"""From paths and URIs to storages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import fs

from vqcodec.cluster.storage import Storage
from vqcodec.files import PathLike


def locate(
    locations: Sequence[PathLike], filesystem: Any = None, retries: int = 3
) -> tuple[Storage, list[str]]:
    """The storage that holds these paths or URIs, all of them, and their paths in it.

    Args:
        filesystem: of pyarrow or fsspec, which the locations are paths in; None = as their URIs say.

    Raises:
        ValueError: they are in several storages, or of an unknown kind.
    """
    if filesystem is not None:
        known = (
            filesystem
            if isinstance(filesystem, fs.FileSystem)
            else fs.PyFileSystem(fs.FSSpecHandler(filesystem))
        )
        return Storage(known, "", retries), [os.fspath(location) for location in locations]
    stores: list[Storage] = []
    paths: list[str] = []
    for location in locations:
        store, path = _resolve(os.fspath(location), retries)
        if stores and not (
            stores[0].scheme == store.scheme and stores[0].filesystem.equals(store.filesystem)
        ):
            raise ValueError(f"all sources must be in one storage: {locations[0]}, {location}")
        stores.append(store)
        paths.append(path)
    return (stores[0] if stores else Storage(fs.LocalFileSystem(), "", retries)), paths


def _resolve(location: str, retries: int) -> tuple[Storage, str]:
    scheme, mark, _ = location.partition("://")
    if not mark:
        return Storage(fs.LocalFileSystem(), "", retries), location
    try:
        if scheme == "s3":  # one request for a small file instead of three
            location += ("&" if "?" in location else "?") + "allow_delayed_open=true"
        found, path = fs.FileSystem.from_uri(location)
    except pa.ArrowInvalid:
        try:
            import fsspec  # noqa: PLC0415  for what pyarrow does not know

            other, path = fsspec.core.url_to_fs(location)
        except (ImportError, ValueError) as error:
            raise ValueError(f"{location}: {error}") from error
        found = fs.PyFileSystem(fs.FSSpecHandler(other))
    return Storage(found, "" if isinstance(found, fs.LocalFileSystem) else scheme + mark, retries), path
