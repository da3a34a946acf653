"""`--engine ray`: the same commands on a Ray cluster, with object stores and shards of pictures as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vqcodec.batch.jobs import FileResult
from vqcodec.batch.run import BatchReport
from vqcodec.weights import zoo
from vqcodec_cli.convert import Conversion, Tell
from vqcodec_cli.streams import STREAM
from vqcodec_cli.ui import finish

if TYPE_CHECKING:
    from vqcodec.cluster.task import Work

_SHARDS = (".tar", ".parquet")


def convert_on_ray(
    conversion: Conversion,
    work: Work,
    suffix: str,
    suffixes: Sequence[str],
    tell: Tell,
    *,
    dry_run: bool = False,
) -> int:
    """Do a command's work on a cluster and return the exit code.

    Args:
        work: of `vqcodec.batch.work`, its model to be loaded by the workers.
        suffix: of results.
        suffixes: of what is looked for in folders and shards.
        tell: prints the summary of a file that was converted.

    Raises:
        click.UsageError: a combination without meaning.
        OSError: nothing to do, no cluster, or no such storage.
    """
    if conversion.output is not None or STREAM in conversion.inputs:
        raise click.UsageError("--engine ray needs files and --output-dir, not -o or -")
    conversion.check()
    if conversion.model is not None:
        zoo.find_model(conversion.model)
    try:
        from vqcodec.cluster.engine import NoRoom  # noqa: PLC0415  an extra
        from vqcodec.cluster.planning import plan_dataset, plan_jobs  # noqa: PLC0415
        from vqcodec.cluster.run import Setting, convert, manifest_of  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise OSError("--engine ray needs more packages: pip install 'vqcodec[ray]'") from error
    reporter = conversion.reporter
    results: list[FileResult] = []

    def progress(result: FileResult) -> None:
        results.append(result)
        conversion.report(result, tell)

    setting = Setting(
        address=conversion.address,
        workers=conversion.workers,
        gpus=1 if conversion.device.startswith("cuda") else 0,
        overwrite=conversion.force,
        skip_existing=conversion.skip_existing,
        preserve=conversion.preserve,
        stop_on_error=conversion.fail_fast,
        progress=progress,
    )
    far = any("://" in name for name in (*conversion.inputs, conversion.output_dir or ""))
    if far or any(name.lower().endswith(_SHARDS) for name in conversion.inputs):
        if conversion.output_dir is None or dry_run:
            raise click.UsageError("shards and object stores need --output-dir, and no --dry-run")
        left_out: Counter[str] = Counter()
        try:
            found = plan_dataset(
                conversion.inputs,
                conversion.output_dir,
                suffix,
                suffixes,
                recursive=conversion.recursive,
                left_out=left_out,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        conversion.note_left_out(suffixes, left_out)
    else:
        jobs = conversion.plan(suffix, suffixes, dry_run=dry_run)
        found = plan_jobs(jobs, suffix, suffixes)
    with conversion.bar(found.count):
        try:
            manifest = None if conversion.manifest is None else manifest_of(conversion.manifest, found)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        try:
            convert(found, work, replace(setting, manifest=manifest))
        except (ModuleNotFoundError, NoRoom) as error:
            raise OSError(str(error)) from error
    return finish(BatchReport(tuple(results)), reporter, len(results))
