"""The public functions: whole datasets to .vqc files and back, on a Ray cluster."""

from __future__ import annotations

import errno
import fnmatch
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa

from vqcodec.batch.jobs import INPUT_SUFFIXES, VQC_SUFFIX
from vqcodec.batch.work import CompressWork, DecompressWork
from vqcodec.cluster.planning import find_pictures, kind_of, plan_into_shards, plan_shards, plan_table
from vqcodec.cluster.run import MANIFEST, DatasetReport, Setting, convert
from vqcodec.cluster.storage import Storage, locate
from vqcodec.cluster.task import Work
from vqcodec.cluster.units import LAYOUTS, Layout, Unit, in_units
from vqcodec.files import PathLike
from vqcodec.loading import ModelCache
from vqcodec.weights import zoo


def compress_dataset(
    source: PathLike | Iterable[PathLike] | pa.Table,
    destination: PathLike,
    *,
    model: str = zoo.DEFAULT_MODEL,
    device: str = "auto",
    psnr: bool = False,
    layout: Layout | None = None,
    column: str | None = None,
    per_shard: int = 1000,
    recursive: bool = True,
    filesystem: Any = None,
    destination_filesystem: Any = None,
    manifest: str | bool = True,
    setting: Setting | None = None,
    **options: Any,
) -> DatasetReport:
    """Compress a dataset of pictures on a Ray cluster.

    Workers are actors of Ray Data that hold the weights. What dies with a worker or a node is done again; a
    file that fails, whatever the reason, fails alone. Bytes are those of `Codec.compress`.

    Args:
        source: a folder, files, tar shards or Parquet files, as paths or URIs (s3://, gs://, what pyarrow or
            fsspec know), also with * in the last part; or a `pyarrow.Table`.
        destination: a folder or a prefix. Files mirror the tree below each folder; shards keep their names;
            pictures out of shards go into a folder for each shard.
        model, device: as for `vqcodec.load`; "auto" is the CPU here unless `setting.gpus` is given.
        psnr: decode each file again, and tell its PSNR in the manifest.
        layout: "files", "tar" or "parquet": what to write; None = what the source is. What stands beside a
            picture in a shard or a table stays beside it.
        column: of a table, that holds pictures as bytes or as structures with the fields bytes and path;
            None = the first that could.
        per_shard: pictures of a shard that is made of files.
        recursive: search folders within folders.
        filesystem, destination_filesystem: of pyarrow or fsspec; paths are then paths in them.
        manifest: True = the folder manifest.parquet in the destination; a path or URI in the destination's
            storage; False = none.
        setting: the cluster, workers, retries, and what to do about outputs that exist.
        options: those of `Codec.compress`, and overwrite, skip_existing, address, workers, cpus, gpus,
            retries, progress, stop_on_error and preserve of `Setting`.

    Raises:
        ModuleNotFoundError: Ray is not installed (the extra `ray`).
        ModelNotFound: no such model on this machine; one that a node lacks fails the files of that node.
        OSError: no such cluster; the source cannot be listed, or the manifest cannot be written.
        ValueError: a bad option, or sources of several kinds.
    """
    setting, options = _split(setting, options)
    zoo.find_model(model)
    work = CompressWork(models_for(device, setting.gpus), model, options, "psnr" if psnr else "")
    places = _Places.of(source, destination, filesystem, destination_filesystem, setting.retries)
    return places.convert(
        work,
        setting,
        VQC_SUFFIX,
        INPUT_SUFFIXES,
        layout=layout,
        column=column,
        per_shard=per_shard,
        recursive=recursive,
        manifest=manifest,
    )


def decompress_dataset(
    source: PathLike | Iterable[PathLike] | pa.Table,
    destination: PathLike,
    *,
    suffix: str = ".png",
    model: str | None = None,
    device: str = "auto",
    layout: Layout | None = None,
    column: str | None = None,
    per_shard: int = 1000,
    recursive: bool = True,
    filesystem: Any = None,
    destination_filesystem: Any = None,
    manifest: str | bool = True,
    setting: Setting | None = None,
    **options: Any,
) -> DatasetReport:
    """Decompress a dataset of .vqc files to pictures with `suffix`; the rest as `compress_dataset`.

    `options` are those of `Codec.decompress`, and those that `compress_dataset` lists.
    """
    from vqcodec.image.saving import format_for  # noqa: PLC0415  imports Pillow

    setting, options = _split(setting, options)
    if model is not None:
        zoo.find_model(model)
    kind = format_for(None, suffix.lstrip("."))
    work = DecompressWork(models_for(device, setting.gpus), kind, model, options)
    places = _Places.of(source, destination, filesystem, destination_filesystem, setting.retries)
    return places.convert(
        work,
        setting,
        suffix,
        (VQC_SUFFIX,),
        layout=layout,
        column=column,
        per_shard=per_shard,
        recursive=recursive,
        manifest=manifest,
    )


class _Places:
    """Where a dataset is, and where its results go."""

    def __init__(
        self, source: Storage, paths: list[str], table: pa.Table | None, destination: Storage, folder: str
    ) -> None:
        self._source, self._paths, self._table = source, paths, table
        self._destination, self._folder = destination, folder

    @classmethod
    def of(
        cls,
        source: PathLike | Iterable[PathLike] | pa.Table,
        destination: PathLike,
        source_filesystem: Any,
        destination_filesystem: Any,
        retries: int,
    ) -> _Places:
        """Raises ValueError for storages that are unknown, or mixed."""
        to, folders = locate([destination], destination_filesystem, retries)
        if isinstance(source, pa.Table):
            return cls(locate([])[0], [], source, to, folders[0])
        given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
        storage, paths = locate(given, source_filesystem, retries)
        found = [path for each in paths for path in _matching(storage, each)]
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing to do", ", ".join(map(str, given)))
        return cls(storage, found, None, to, folders[0])

    def convert(
        self,
        work: Work,
        setting: Setting,
        suffix: str,
        inputs: Sequence[str],
        *,
        layout: Layout | None,
        column: str | None,
        per_shard: int,
        recursive: bool,
        manifest: str | bool,
        left_out: Counter[str] | None = None,
    ) -> DatasetReport:
        """Plan, and do it; the arguments are those of `compress_dataset`."""
        kind: Layout = "parquet" if self._table is not None else kind_of(self._paths)
        to = layout or kind
        if to not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
        if per_shard < 1:
            raise ValueError(f"per_shard must be 1 or more, not {per_shard}")

        def plan(workers: int) -> Sequence[Unit]:
            if self._table is not None:
                return list(plan_table(self._table, self._folder, to, per_shard))
            if kind != "files":
                return plan_shards(self._source, self._paths, self._folder, to)
            pictures = find_pictures(
                self._source,
                self._paths,
                self._folder,
                suffix,
                inputs,
                recursive=recursive,
                left_out=left_out,
            )
            if not pictures:
                reason = f"no files ending in {', '.join(inputs)}"
                raise FileNotFoundError(errno.ENOENT, reason, self._source.show(self._paths[0]))
            if to == "files":
                return list(in_units(pictures, workers))
            return plan_into_shards(pictures, self._folder, to, per_shard, suffix)

        return convert(
            plan,
            work,
            replace(setting, manifest=self._manifest(manifest)),
            source=self._source,
            destination=self._destination,
            folder=self._folder,
            suffix=suffix,
            inputs=inputs,
            layout=to,
            column=column,
        )

    def _manifest(self, wanted: str | bool) -> str | None:
        if wanted is True:
            return f"{self._folder.rstrip('/')}/{MANIFEST}"
        if not wanted:
            return None
        storage, paths = locate([str(wanted)])
        if storage.scheme != self._destination.scheme and "://" in str(wanted):
            raise ValueError(f"{wanted}: the manifest goes into the destination's storage")
        return paths[0]


def models_for(device: str, gpus: float) -> ModelCache:
    """Models as a worker holds them: on its card, or on the CPU unless another device is named."""
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    return ModelCache(device=device)


def _split(setting: Setting | None, options: dict[str, Any]) -> tuple[Setting, dict[str, Any]]:
    """Options of a setting, and those of the codec."""
    names = {each.name for each in fields(Setting)} - {"manifest"}
    own = {name: value for name, value in options.items() if name in names}
    codec = {name: value for name, value in options.items() if name not in names}
    return replace(setting or Setting(), **own), codec


def _matching(storage: Storage, path: str) -> list[str]:
    """What a path with * or ? in its last part stands for, sorted; any other path stands for itself."""
    folder, _, name = path.rpartition("/")
    if not any(mark in name for mark in "*?["):
        return [path]
    found = storage.files(folder or ".", recursive=False)
    return [each for each, _ in found if fnmatch.fnmatchcase(each.rpartition("/")[2], name)]
