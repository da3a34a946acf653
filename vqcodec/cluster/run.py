"""The job as a whole: sources --plan--> units --workers--> results, manifest, report."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqcodec._version import __version__
from vqcodec.batch.jobs import FileResult
from vqcodec.batch.run import Progress
from vqcodec.cluster.engine import Pool, connected, run_units, workers_of
from vqcodec.cluster.locations import locate
from vqcodec.cluster.manifest import Manifest
from vqcodec.cluster.planning import Plan
from vqcodec.cluster.task import Task, Work
from vqcodec.cluster.units import Unit
from vqcodec.files import PathLike

MANIFEST = "manifest.parquet"
"""Where the manifest is in a destination, unless said otherwise."""


@dataclass
class DatasetReport:
    """What became of a job; prints as lines.

    Attributes:
        done, skipped: files, or samples of shards; a shard that is skipped counts once.
        failed: a result with its error for each.
        pixels, file_bytes: of what was done; bytes of .vqc files.
        seconds: from the first to the last result of the workers.
        manifest: where it is.
    """

    done: int = 0
    skipped: int = 0
    failed: list[FileResult] = field(default_factory=list)
    pixels: int = 0
    file_bytes: int = 0
    seconds: float = 0.0
    manifest: str | None = None

    def count(self, result: FileResult) -> None:
        """Take a result in."""
        if result.error is not None:
            self.failed.append(result)
        elif result.info is None:
            self.skipped += 1
        else:
            self.done += 1
            self.pixels += result.info.width * result.info.height
            self.file_bytes += result.info.file_bytes

    def __str__(self) -> str:
        lines = [f"{result.source}: {result.error}" for result in self.failed]
        rate = f", {8 * self.file_bytes / self.pixels:.3f} bpp" if self.pixels else ""
        lines.append(f"{self.done} done, {self.skipped} skipped, {len(self.failed)} failed{rate}")
        if self.manifest:
            lines.append(f"manifest: {self.manifest}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Setting:
    """How a job runs, whatever it does.

    Attributes:
        address: of the Ray cluster; None = the one this process is in, or one of this machine alone.
        workers: their number, or (least, most); None = as many as the cluster has room for.
        cpus: processor cores of each worker.
        gpus: graphics cards of each worker.
        retries: how often a unit is done again whose worker died.
        overwrite, skip_existing: what to do about outputs that are there.
        preserve: permissions and times of the sources, on one machine.
        stop_on_error: end at the first failure.
        manifest: its folder in the destination's storage; None = no manifest.
        progress: called after each result.
    """

    address: str | None = None
    workers: int | tuple[int, int] | None = None
    cpus: float = 1
    gpus: float = 0
    retries: int = 2
    overwrite: bool = False
    skip_existing: bool = False
    preserve: bool = False
    stop_on_error: bool = False
    manifest: str | None = None
    progress: Progress | None = None


def convert(plan: Plan, work: Work, setting: Setting) -> DatasetReport:
    """Do the work for all pictures of a plan, on Ray.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        OSError: no cluster, or the manifest cannot be written.
        RuntimeError: the cluster has no room for a worker.
        ValueError: a bad option.
    """
    with connected(setting.address) as ray:
        room = workers_of(ray, setting.cpus, setting.gpus)
        workers = room if setting.workers is None else setting.workers
        bars = setting.progress is None and sys.stderr is not None and sys.stderr.isatty()
        pool = Pool(workers, setting.cpus, setting.gpus, setting.retries, bars)
        units = plan.cut(pool.most)
        run = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        task = Task(
            work=work,
            source=plan.source,
            destination=plan.destination,
            run=run,
            started=_started(plan, run),
            suffix=plan.suffix,
            inputs=plan.inputs,
            layout=plan.layout,
            column=plan.column,
            folder=str(Path.cwd()),
            threads=max(1, int(setting.cpus)),
            overwrite=setting.overwrite,
            skip_existing=setting.skip_existing,
            preserve=setting.preserve,
        )
        manifest = None
        if setting.manifest is not None:
            told = {"version": __version__, "work": work, "units": len(units), "setting": setting}
            manifest = Manifest(plan.destination, setting.manifest, run, told)
        return _gather(units, task, pool, setting, manifest)


def manifest_of(wanted: PathLike | bool, plan: Plan) -> str | None:
    """The folder of a manifest in the destination's storage; True stands for the usual one, False for none.

    Raises:
        ValueError: it is in another storage.
    """
    if isinstance(wanted, bool):
        return f"{(plan.folder or '').rstrip('/')}/{MANIFEST}" if wanted else None
    wanted = os.fspath(wanted)
    storage, (path,) = locate([wanted])
    if "://" in wanted and storage.scheme != plan.destination.scheme:
        raise ValueError(f"{wanted}: the manifest goes into the destination's storage")
    return path


def _gather(
    units: Sequence[Unit], task: Task, pool: Pool, setting: Setting, manifest: Manifest | None
) -> DatasetReport:
    where = None if setting.manifest is None else task.destination.show(setting.manifest)
    report = DatasetReport(manifest=where)
    begun = None
    with contextlib.ExitStack() as stack:
        if manifest is not None:
            stack.callback(manifest.flush)  # also after Ctrl-C
        running = stack.enter_context(contextlib.closing(run_units(units, task, pool)))
        for results in running:
            begun = begun or time.perf_counter()
            for result in results:
                report.count(result)
                if manifest is not None:
                    manifest.add(result)
                if setting.progress is not None:
                    setting.progress(result)
            if setting.stop_on_error and report.failed:
                break
    report.seconds = 0.0 if begun is None else time.perf_counter() - begun
    return report


def _started(plan: Plan, run: str) -> int:
    """When a run begins, by the clock that gives its outputs their times."""
    if plan.folder is None:
        return 0
    try:
        return plan.destination.now(plan.folder, f"{run}-")
    except OSError:
        return time.time_ns()  # nothing can be written there, as every file will tell
