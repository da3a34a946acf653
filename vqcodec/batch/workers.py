"""Worker processes, one job at a time each, given through a pipe to a fresh interpreter (spawn).

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
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from vqcodec.batch.cores import cores, limit_threads
from vqcodec.batch.jobs import FileResult, Job

DoJob = Callable[[Job], FileResult]

_PATIENCE = 10.0
"""Seconds that a stopped worker gets to leave the call it is in and to clean up."""

_NOT_STARTED = (
    "a worker process did not start; a script that asks for jobs needs `if __name__ == '__main__':`"
)


Answer = tuple[FileResult, bool, str]
"""What a worker sends of a job: the result, whether its error is a programming error, the traceback."""


def sendable(result: FileResult, raised: bool = False) -> Answer:
    """An answer that survives pickling, whatever its error is made of."""
    if result.error is None:
        return result, False, ""
    trace = "".join(traceback.format_exception(result.error))
    try:
        pickle.loads(pickle.dumps(result.error))  # noqa: S301  bytes of our own
    except Exception:  # noqa: BLE001  an error's own __init__ and __reduce__ may do anything
        result = replace(result, error=RuntimeError(f"{type(result.error).__name__}: {result.error}"))
    return result, raised, trace


def received(answer: Answer) -> FileResult:
    """The result in an answer, its error with the worker's traceback; raises a programming error."""
    result, raised, trace = answer
    if result.error is not None:
        result.error.__cause__ = _WorkerTraceback(trace)
        if raised:
            raise result.error
    return result


def run_in_workers(jobs: Iterable[Job], do: DoJob, count: int) -> Generator[tuple[int, FileResult]]:
    """Do jobs in `count` processes, the largest files first; closing the iterator stops them.

    What is large and comes last would keep one process busy when the others have nothing left to do.

    Args:
        do: must survive pickling.
        count: number of processes; each gets its share of the cores for its threads.

    Yields:
        (number of the job, its result), as they finish.

    Raises:
        RuntimeError: a worker process does not even start.
        Exception: whatever programming error `do` raises.
    """
    waiting = iter(sorted(enumerate(jobs), key=lambda pair: -size_of(pair[1])))
    threads = max(1, cores() // count)
    workers: list[_Worker] = []
    try:
        while True:
            # At the start, and in place of one that died.
            while len(workers) < count and (job := next(waiting, None)) is not None:
                workers.append(_Worker(do, threads))
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
                job = next(waiting, None) if worker.process.is_alive() else None
                if job is not None:
                    worker.give(*job)
                else:
                    workers.remove(worker)
                    worker.dismiss()
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.dismiss()


def size_of(job: Job) -> int:
    """Bytes of a job's source; 0 where that cannot be known, as its turn will tell."""
    try:
        return os.stat(job.source or "").st_size  # noqa: PTH116  half the time of pathlib's
    except OSError:
        return 0


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, do: DoJob, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, do, threads), daemon=True)
        try:
            with _interrupts_ignored():
                self.process.start()
        except FileNotFoundError as error:
            if error.filename is not None:
                raise
            raise OSError(error.errno, "workers need a current folder, and this one was removed") from error
        theirs.close()  # so that reading fails once the worker is gone
        self._started = False

    def give(self, number: int, job: Job) -> None:
        """Let the worker do a job."""
        self.number, self._job = number, job
        with contextlib.suppress(OSError):  # it has died: the next read tells
            self.connection.send(job)

    def receive(self) -> FileResult | None:
        """The result of its job, a failure if it died; None if it only says that it has started."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            status = self.process.exitcode or 0
            # One that a signal killed, as where no memory is left, may be followed by one that does start.
            if not self._started and status >= 0:
                raise RuntimeError(_NOT_STARTED) from error
            died = RuntimeError(f"its worker process died (exit status {status})")
            return FileResult(self._job.source, self._job.output, error=died)
        if message is None:
            self._started = True
            return None
        return received(message)

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


def _serve(connection: Connection, do: DoJob, threads: int) -> None:
    """The worker's main function: jobs in, results out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    signal.signal(signal.SIGTERM, _leave)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave)  # a terminal that is closed tells all its processes
    limit_threads(threads)
    with contextlib.suppress(EOFError, ConnectionError):
        connection.send(None)
        while True:
            connection.send(_answer(do, connection.recv()))


def _answer(do: DoJob, job: Job) -> Answer:
    """The result, fit for pickling; whether its error is a programming error; the error's traceback."""
    try:
        return sendable(do(job))
    except Exception as error:  # noqa: BLE001  raised again in the parent
        return sendable(FileResult(job.source, job.output, error=error), raised=True)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Unwind instead of vanishing: what is half-written gets removed on the way out.

    Silently: native code that this exception passes through would print it.
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
