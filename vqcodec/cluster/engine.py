"""Units through Ray Data: a pool of actors that hold the weights, results as they come.

What dies with a worker is done again by Ray, a few times; what is then still missing, for one of its pictures
may be what kills workers, once more with every picture for itself. Only pictures that die alone have failed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from vqcodec.batch.jobs import FileResult
from vqcodec.batch.workers import Answer, received, sendable
from vqcodec.cluster.task import EXPECTED, Task
from vqcodec.cluster.units import Unit, in_single_pictures
from vqcodec.cluster.worker import Worker

WAVE = 20_000
"""Units that are given to Ray at once; each weighs some kilobytes in the memory of the head node."""
_IN_FLIGHT = 4
"""Units that wait at an actor or are done by it: the driver looks after them ten times a second."""


@dataclass(frozen=True)
class Pool:
    """The workers.

    Attributes:
        workers: their number, or (least, most).
        cpus: processor cores of each.
        gpus: graphics cards of each.
        retries: how often Ray does a unit again whose worker died.
        bars: Ray's own progress on the terminal.
    """

    workers: int | tuple[int, int]
    cpus: float = 1
    gpus: float = 0
    retries: int = 2
    bars: bool = False

    @property
    def most(self) -> int:
        """Workers at most."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]


class NoRoom(RuntimeError):
    """No node of the cluster has what a worker needs."""


@contextlib.contextmanager
def connected(address: str | None, **options: Any) -> Iterator[Any]:
    """Ray, started or connected to; left as it was found.

    Args:
        address: of a cluster; None = the one this process is in, or else one of this machine alone.
        options: of `ray.init`.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: no cluster there.
    """
    try:
        import ray  # noqa: PLC0415  an extra
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        raise ModuleNotFoundError("Ray is missing: pip install 'vqcodec[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    before = signal.getsignal(signal.SIGTERM)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None and "RAY_ADDRESS" not in os.environ:
        # A cluster of our own reports to nobody, needs no pages, and is all that this machine is to do.
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness"):
            os.environ.setdefault(name, "0")
        options = {"include_dashboard": False, **options}
    with _quiet():
        try:
            ray.init(address, configure_logging=False, log_to_driver=False, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConnectionError(f"no Ray cluster at {address}: {error}") from error
        try:
            if threading.current_thread() is threading.main_thread():
                # Ray's own would leave without cleaning up.
                signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
            yield ray
        finally:
            ray.shutdown()


def workers_of(ray: Any, cpus: float, gpus: float) -> int:
    """How many workers the cluster has room for.

    Raises:
        NoRoom: for none.
    """
    has = ray.cluster_resources()
    room = [int(has.get(name, 0) / each) for name, each in (("CPU", cpus), ("GPU", gpus)) if each]
    if not room or min(room) < 1:
        raise NoRoom(f"the cluster has no room for a worker with {cpus:g} CPU and {gpus:g} GPU")
    return min(room)


def run_units(units: Sequence[Unit], task: Task, pool: Pool) -> Generator[list[FileResult]]:
    """Do all units; results of a unit at a time, as they come.

    Raises:
        Exception: whatever programming error the work raises.
    """
    for start in range(0, len(units), WAVE):
        wave = {unit.number: unit for unit in units[start : start + WAVE]}
        for number, results in _round(list(wave.values()), task, pool, again=False):
            if wave.pop(number, None) is not None:  # Ray may tell a thing twice
                yield results
        alone = {unit.number: unit for unit in in_single_pictures(list(wave.values()))}
        for number, results in _round(list(alone.values()), task, pool, again=True):
            if alone.pop(number, None) is not None:
                yield results
        for unit in alone.values():
            yield _died(unit, task)


def _round(units: list[Unit], task: Task, pool: Pool, again: bool) -> Iterator[tuple[int, list[FileResult]]]:
    """Units through an actor pool of its own; those whose workers die too often do not come back."""
    if not units:
        return
    import ray.data  # noqa: PLC0415  an extra

    rows = [pa.table({"unit": pa.array([pickle.dumps(unit)], pa.binary())}) for unit in units]
    most = min(pool.most, len(units))
    least = min(pool.workers if isinstance(pool.workers, int) else pool.workers[0], most)
    strategy = ray.data.ActorPoolStrategy(
        min_size=least, max_size=most, max_tasks_in_flight_per_actor=1 if again else _IN_FLIGHT
    )
    # Ray warns in words of its own of what is as it should be.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset: ray.data.Dataset = ray.data.from_arrow(rows)
        context = dataset.context
        context.max_errored_blocks = -1
        context.enable_progress_bars = pool.bars
        dataset = dataset.map_batches(
            _Actor,
            fn_constructor_args=(pickle.dumps(task), again),
            batch_size=None,
            batch_format="pyarrow",
            compute=strategy,
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            # Without a bound Ray would do for ever what kills its workers.
            max_restarts=-1,
            max_task_retries=pool.retries,
        )
        blocks = iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    with contextlib.closing(blocks) if hasattr(blocks, "close") else contextlib.nullcontext():
        for block in blocks:
            for number, answers in zip(
                *(block[name].to_pylist() for name in ("number", "answers")), strict=True
            ):
                heard: list[Answer] = pickle.loads(answers)  # noqa: S301  bytes of our own
                yield number, [received(answer) for answer in heard]


class _Actor:
    """A worker as Ray Data calls it: tables of units to tables of answers."""

    def __init__(self, task: bytes, again: bool) -> None:
        import ray  # noqa: PLC0415  an extra

        told: Task = pickle.loads(task)  # noqa: S301  bytes of our own
        with contextlib.suppress(OSError):  # not there where all names are of an object store
            os.chdir(told.folder)
        self._worker = Worker(told)
        self._again = again or ray.get_runtime_context().was_current_actor_reconstructed

    def __call__(self, batch: pa.Table) -> pa.Table:
        numbers, answers = [], []
        for row in batch["unit"]:
            unit: Unit = pickle.loads(row.as_py())  # noqa: S301  bytes of our own
            numbers.append(unit.number)
            answers.append(pickle.dumps(self._answers(unit)))
        return pa.table({"number": numbers, "answers": pa.array(answers, pa.binary())})

    def _answers(self, unit: Unit) -> list[Answer]:
        try:
            return [sendable(result) for result in self._worker.do(unit, self._again)]
        except Exception as error:  # noqa: BLE001  raised again by the driver
            raised = not isinstance(error, EXPECTED)
            return [sendable(FileResult(unit.shard or None, unit.output or None, error=error), raised)]


def _died(unit: Unit, task: Task) -> list[FileResult]:
    """The failures of a unit that never came back."""
    error = RuntimeError("its worker process died, each time that it was tried")
    if unit.shard or unit.output:
        source = task.source.show(unit.shard) if unit.shard else None
        return [FileResult(source, task.destination.show(unit.output), error=error)]
    return [
        FileResult(
            task.source.show(picture.source),
            None if picture.output is None else task.destination.show(picture.output),
            error=error,
        )
        for picture in unit.pictures
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray's remarks off the terminal: its bars and our results tell enough; its files have all."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
