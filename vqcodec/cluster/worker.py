"""A worker of a job: units in, results out. An actor of Ray holds one, and with it the weights."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from vqcodec.batch.cores import limit_threads
from vqcodec.batch.jobs import VQC_SUFFIX, FileResult, Job, is_wanted
from vqcodec.cluster.sharding import convert_shard, pictures_in
from vqcodec.cluster.task import EXPECTED, Task
from vqcodec.cluster.units import Picture, Unit
from vqcodec.files import exists_already
from vqcodec.probing import probe
from vqcodec.types import ImageInfo

_AHEAD = 8
"""Files that are read and written while others are worked on, where they are not this machine's."""

Read = Callable[[], bytes]


class Worker:
    """Does units of one task."""

    def __init__(self, task: Task) -> None:
        limit_threads(task.threads)
        self._task = task
        self._io = ThreadPoolExecutor(_AHEAD)

    def do(self, unit: Unit, again: bool = False) -> list[FileResult]:
        """All results of a unit.

        Args:
            again: it may have been begun before, by a process that died.

        Raises:
            Exception: a programming error, such as a bad option.
        """
        task = self._task
        round_tag = task.run if unit.origin is None else f"{task.run}-again"
        tag = f"{round_tag}-{unit.number}-"
        if again:
            outputs = [unit.output, *(picture.output or "" for picture in unit.pictures)]
            for folder in {output.rpartition("/")[0] for output in outputs if output}:
                task.destination.remove_stale(folder, tag)
                if unit.origin is not None:
                    task.destination.remove_stale(folder, f"{task.run}-{unit.origin}-")
        if unit.output and task.layout != "files":
            return convert_shard(unit, task, tag)
        if unit.shard or unit.table is not None:
            return pictures_in(unit, task, lambda picture, data: self._alone(picture, data, tag))
        return self._pictures(unit.pictures, tag)

    def _pictures(self, pictures: tuple[Picture, ...], tag: str) -> list[FileResult]:
        task = self._task
        times = task.destination.modified([picture.output or "" for picture in pictures])
        ahead = 0 if task.source.local else _AHEAD
        reading: dict[int, Future[bytes]] = {}
        results: list[FileResult | Future[FileResult]] = []
        for number, picture in enumerate(pictures):
            for later in range(number, min(number + ahead, len(pictures))):
                if later not in reading and self._unmade(times[later]):
                    reading[later] = self._io.submit(task.source.read, pictures[later].source)
            read = reading[number].result if number in reading else lambda: task.source.read(picture.source)  # noqa: B023  called at once
            results.append(self._picture(picture, times[number], tag, read))
            reading.pop(number, None)
        return [result.result() if isinstance(result, Future) else result for result in results]

    def _alone(self, picture: Picture, data: bytes, tag: str) -> FileResult:
        """A picture whose file is at hand."""
        changed = self._task.destination.modified([picture.output or ""])[0]
        result = self._picture(picture, changed, tag, lambda: data)
        return result.result() if isinstance(result, Future) else result

    def _picture(
        self, picture: Picture, changed: int | None, tag: str, read: Read
    ) -> FileResult | Future[FileResult]:
        """One picture to its own file.

        Args:
            changed: when the output was, if it exists.
        """
        task = self._task
        output = None if picture.output is None else task.destination.show(picture.output)
        result = FileResult(task.source.show(picture.source), output)
        begun = time.perf_counter()
        try:
            if picture.problem is not None:
                raise picture.problem
            if changed is not None and changed >= task.started:
                return replace(result, info=self._made(picture, read))
            if not self._wanted(picture, changed):
                return result
            coded, info = task.work(read())
            result = replace(result, info=replace(info, seconds=time.perf_counter() - begun))
        except EXPECTED as error:
            return replace(result, error=error)
        if picture.output is None:
            return result
        if task.destination.local:
            return self._write(picture, coded, tag, result)
        return self._io.submit(self._write, picture, coded, tag, result)

    def _wanted(self, picture: Picture, changed: int | None) -> bool:
        """Whether a picture is to be done; makes the output's folder if so.

        Raises:
            OSError: the output may not be written.
        """
        task = self._task
        if task.source.local and task.destination.local and not picture.inside:
            output = None if picture.output is None else Path(picture.output)
            job = Job(Path(picture.source), output, picture.make_parents)
            return is_wanted(job, task.overwrite, task.skip_existing)
        if picture.output is None:
            return True
        if not self._unmade(changed):
            if task.skip_existing:
                return False
            raise exists_already(task.destination.show(picture.output))
        if picture.make_parents:
            task.destination.make_parents(picture.output)
        return True

    def _unmade(self, changed: int | None) -> bool:
        """Whether an output is still to be made that was last changed then."""
        return changed is None or (self._task.overwrite and changed < self._task.started)

    def _made(self, picture: Picture, read: Read) -> ImageInfo:
        """What an earlier try of this run has made of a picture, before its process died.

        Raises:
            VQCodecError: it cannot be read.
            OSError: as well.
        """
        task = self._task
        ours = task.suffix == VQC_SUFFIX
        return probe(task.destination.read(str(picture.output)) if ours else read())

    def _write(self, picture: Picture, coded: bytes, tag: str, result: FileResult) -> FileResult:
        task = self._task
        both = task.preserve and task.source.local and task.destination.local and not picture.inside
        try:
            like = os.stat(picture.source) if both else None  # noqa: PTH116  as `write_atomic` wants it
            task.destination.write(str(picture.output), coded, tag, like)
        except OSError as error:
            return replace(result, info=None, error=error)
        return result
