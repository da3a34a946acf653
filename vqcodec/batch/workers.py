"""Worker processes, one job at a time each: reading, coding and writing of several files overlap.

    jobs --one pipe each--> fresh interpreters (spawn) --> results, in the order they finish

A worker that loses its parent ends by itself; one that is stopped removes what it was writing; one that dies
(no memory left) fails its own file only.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from vqcodec.batch.jobs import FileResult, Job, Task

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_PATIENCE = 10.0
"""Seconds that a stopped worker gets to leave the call it is in and to clean up."""

_NOT_STARTED = (
    "a worker process did not start; a script that asks for jobs needs `if __name__ == '__main__':`"
)


def cores() -> int:
    """Number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(jobs: int, files: int) -> int:
    """Worker processes for `files` files; 1 means that they are not worth starting.

    Args:
        jobs: what was asked for; 0 = one for each core.

    Raises:
        ValueError: `jobs` is negative.
    """
    if jobs < 0:
        raise ValueError(f"jobs must be 0 (one for each core) or more, not {jobs}")
    return max(1, min(jobs or cores(), files))


def run_in_workers(jobs: Iterable[Job], task: Task, count: int) -> Generator[tuple[int, FileResult]]:
    """Do `task` for each job in `count` processes; closing the iterator stops them.

    Args:
        task: must survive pickling.
        count: number of processes; each gets its share of the cores for its threads.

    Yields:
        (number of the job, its result), as they finish.

    Raises:
        RuntimeError: a worker process does not even start.
        Exception: whatever programming error the task raises.
    """
    waiting = enumerate(jobs)
    threads = max(1, cores() // count)
    workers: list[_Worker] = []
    try:
        while True:
            # At the start, and in place of one that died.
            while len(workers) < count and (job := next(waiting, None)) is not None:
                workers.append(_Worker(task, threads))
                workers[-1].give(*job)
            if not workers:
                return
            heard = wait([worker.connection for worker in workers])
            for worker in [worker for worker in workers if worker.connection in heard]:
                result = worker.receive()
                if result is None:
                    continue
                yield worker.number, result
                # Only now: who stops at this result wants no further file begun.
                job = None if worker.dead else next(waiting, None)
                if job is None:
                    workers.remove(worker)
                    worker.dismiss()
                else:
                    worker.give(*job)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.dismiss()


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, task: Task, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, task, threads), daemon=True)
        with _interrupts_ignored():
            self.process.start()
        theirs.close()  # so that reading fails once the worker is gone
        self.number = -1
        self.dead = False
        self._ready = False
        self._job = Job(None, None)

    def give(self, number: int, job: Job) -> None:
        """Let the worker do a job."""
        self.number, self._job = number, job
        with contextlib.suppress(OSError):  # it has died: the next read tells
            self.connection.send(job)

    def receive(self) -> FileResult | None:
        """What the worker says; None if that is only that it is there."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            if not self._ready:
                raise RuntimeError(_NOT_STARTED) from error
            self.dead = True
            died = RuntimeError(f"its worker process died (exit status {self.process.exitcode})")
            return FileResult(self._job.source, self._job.output, error=died)
        if message is None:
            self._ready = True
            return None
        result: FileResult | None
        result, raised, trace = message
        failure = raised or (result.error if result else None)
        if failure is not None:
            failure.__cause__ = _WorkerTraceback(trace)
        if raised is not None:
            raise raised
        return result

    def dismiss(self) -> None:
        """Close the pipe, which ends an idle worker, and wait for its end."""
        self.connection.close()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class _WorkerTraceback(Exception):
    """Shows where an error came from in the worker: tracebacks do not survive pickling, their text does."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _serve(connection: Connection, task: Task, threads: int) -> None:
    """The worker's main function: jobs in, results out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    signal.signal(signal.SIGTERM, _leave)
    # Read when torch is imported, here with the model.
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    if "torch" in sys.modules:  # the user's own main module imports it
        sys.modules["torch"].set_num_threads(threads)
    with contextlib.suppress(EOFError, ConnectionError):
        connection.send(None)
        while True:
            connection.send(_answer(task, connection.recv()))


def _answer(task: Task, job: Job) -> tuple[FileResult | None, Exception | None, str]:
    """(result, None or the programming error instead, traceback of either's error)."""
    try:
        result = task(job)
    except Exception as error:  # noqa: BLE001  raised again in the parent
        return None, _portable(error), _trace(error)
    if result.error is None:
        return result, None, ""
    failed = FileResult(result.source, result.output, error=_portable(result.error))
    return failed, None, _trace(result.error)


def _portable(error: Exception) -> Exception:
    """The error itself if it survives pickling, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  bytes of our own
    except Exception:  # noqa: BLE001  an error's own __init__ and __reduce__ may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Unwind instead of vanishing: what is half-written gets removed on the way out.

    Without a word: native code that this exception passes through prints it, and an interruption is no news.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.exit(1)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started within ignores Ctrl-C from its first moment."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals cannot be set here
        return
    before: Any = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
