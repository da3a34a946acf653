"""The public functions: whole datasets to .vqc files and back, on a Ray cluster."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from vqcodec.batch.jobs import INPUT_SUFFIXES, VQC_SUFFIX
from vqcodec.batch.work import CompressWork, DecompressWork
from vqcodec.cluster.planning import Source, plan_dataset
from vqcodec.cluster.run import DatasetReport, Setting, convert, manifest_of
from vqcodec.cluster.units import Layout
from vqcodec.files import PathLike
from vqcodec.loading import ModelCache
from vqcodec.weights import zoo


def compress_dataset(
    source: Source,
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
    manifest: PathLike | bool = True,
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
    plan = plan_dataset(
        source,
        destination,
        VQC_SUFFIX,
        INPUT_SUFFIXES,
        layout=layout,
        column=column,
        per_shard=per_shard,
        recursive=recursive,
        filesystem=filesystem,
        destination_filesystem=destination_filesystem,
    )
    return convert(plan, work, replace(setting, manifest=manifest_of(manifest, plan)))


def decompress_dataset(
    source: Source,
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
    manifest: PathLike | bool = True,
    setting: Setting | None = None,
    **options: Any,
) -> DatasetReport:
    """Decompress a dataset of .vqc files to pictures with `suffix`; the rest as `compress_dataset`.

    `options` are those of `Codec.decompress`, and those that `compress_dataset` lists.

    Args:
        suffix: with or without its dot.
    """
    from vqcodec.image.saving import format_for  # noqa: PLC0415  imports Pillow

    setting, options = _split(setting, options)
    if model is not None:
        zoo.find_model(model)
    kind = format_for(None, suffix.lstrip("."))
    suffix = "." + suffix.lstrip(".")
    work = DecompressWork(models_for(device, setting.gpus), kind, model, options)
    plan = plan_dataset(
        source,
        destination,
        suffix,
        (VQC_SUFFIX,),
        layout=layout,
        column=column,
        per_shard=per_shard,
        recursive=recursive,
        filesystem=filesystem,
        destination_filesystem=destination_filesystem,
    )
    return convert(plan, work, replace(setting, manifest=manifest_of(manifest, plan)))


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
