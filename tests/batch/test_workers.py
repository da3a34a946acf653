"""Worker processes: results and errors come back whole, and none of them outlives its use."""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vqcodec.batch.cores import cores, worker_count
from vqcodec.batch.jobs import FileResult, Job, do_job
from vqcodec.batch.run import BatchReport, run_jobs
from vqcodec.batch.workers import run_in_workers
from vqcodec.errors import CorruptData
from vqcodec.types import ImageInfo

# A module of its own, because workers import what they are to do by name.
ODD_WORK = """
import os, pathlib, time
from vqcodec.errors import CorruptData
from vqcodec.files import write_atomic
from vqcodec.types import ImageInfo

class Odd(RuntimeError):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")

def work(job):
    kind = job.source.name
    folder = job.output.parent
    if kind == "corrupt":
        raise CorruptData("damaged")
    if kind == "missing":
        job.source.read_bytes()
    if kind == "odd":
        raise Odd(1, 2)
    if kind == "bug":
        raise ValueError("a bad option")
    if kind == "die":
        os._exit(7)
    if kind == "writing":
        pathlib.Path.replace = lambda *_: time.sleep(100)
        write_atomic(job.output, b"half")
    if kind == "when written":
        while not list(folder.glob(".*.tmp")):
            time.sleep(0.01)
        raise CorruptData("now")
    job.output.write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']} {os.environ['OMP_WAIT_POLICY']}")
    if kind.startswith("wait"):  # so that one worker cannot do all
        while len(list(folder.glob("wait*.out"))) < 2:
            time.sleep(0.01)
    return ImageInfo(4, 3, "RGB", 50.0, 6, "00" * 8, notes=(kind,))
"""


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """Run jobs of these names in two workers."""
    (tmp_path / "odd_work.py").write_text(ODD_WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import odd_work  # type: ignore[import-not-found]  # noqa: PLC0415  written just now

    def run(*names: str, **options) -> BatchReport:
        jobs = [Job(tmp_path / name, tmp_path / f"{name}.out") for name in names]
        return run_jobs(jobs, odd_work.work, workers=2, **options)

    yield run
    del sys.modules["odd_work"]
    assert multiprocessing.active_children() == []


def test_the_largest_files_are_begun_first(batch, tmp_path):
    import odd_work  # noqa: PLC0415  written by the fixture

    sizes = {"small": 10, "huge": 9000, "none": None, "large": 700}
    for name, size in sizes.items():
        if size is not None:
            (tmp_path / name).write_bytes(bytes(size))
    jobs = [Job(tmp_path / name, tmp_path / f"{name}.out") for name in sizes]
    do = functools.partial(do_job, work=odd_work.work)
    assert [number for number, _ in run_in_workers(jobs, do, count=1)] == [1, 3, 0, 2]


def test_a_current_folder_that_was_removed_is_told(batch, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError, match="workers need a current folder, and this one was removed"):
        batch("wait1", "wait2")


def test_results_and_errors_come_back(batch, tmp_path):
    names = ("corrupt", "wait1", "die", "missing", "wait2", "odd")
    seen: list[FileResult] = []
    report = batch(*names, progress=seen.append)
    assert [result.source.name for result in report.results] == list(names)
    assert sorted(map(id, seen)) == sorted(map(id, report.results))
    assert [result.info and result.info.notes for result in report.done] == [("wait1",), ("wait2",)]

    errors = {result.source.name: result.error for result in report.failed}
    assert type(errors["corrupt"]) is CorruptData
    assert str(errors["corrupt"]) == "damaged"
    assert 'raise CorruptData("damaged")' in str(errors["corrupt"].__cause__)
    missing = errors["missing"]
    assert isinstance(missing, FileNotFoundError)
    assert (missing.filename, missing.strerror) == (str(tmp_path / "missing"), "No such file or directory")
    # Its own __init__ keeps it from being pickled.
    assert str(errors["odd"]) == "Odd: 1 and 2"
    assert str(errors["die"]) == "its worker process died (exit status 7)"

    told = [(tmp_path / f"wait{i}.out").read_text().split() for i in (1, 2)]
    pids, threads, policies = zip(*told, strict=True)
    assert len(set(pids)) == 2
    assert set(threads) == {str(max(1, cores() // 2))}
    assert set(policies) == {os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}


def test_a_worker_that_is_killed_before_it_starts_fails_its_own_file_only(batch, monkeypatch):
    start = multiprocessing.Process.start
    seen: list[multiprocessing.Process] = []

    def killed_at_once(process):
        start(process)
        if not seen:
            process.kill()
        seen.append(process)

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", killed_at_once)
    report = batch("first", "second", "third")
    assert [str(result.error) for result in report.failed] == ["its worker process died (exit status -9)"]
    assert len(report.done) == 2


def test_programming_errors_are_raised(batch):
    with pytest.raises(ValueError, match="a bad option"):
        batch("bug", "wait1", "wait2")


def test_stopping_removes_what_is_half_written(batch, tmp_path):
    begun = time.monotonic()
    report = batch("writing", "when written", "later", stop_on_error=True)
    assert time.monotonic() - begun < 50
    assert [str(result.error) for result in report.results] == ["now"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["odd_work.py"]


def test_a_stopped_worker_prints_nothing():
    """Python prints an exception that leaves a callback of native code; so do libraries written in Rust."""
    script = """if True:
        import ctypes, os, signal
        from vqcodec.batch import workers
        signal.signal(signal.SIGTERM, workers._leave)
        stop = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGTERM))
        stop()
    """
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert run.stderr == b""


def test_an_error_of_the_progress_callback_stops_the_workers(batch):
    def fail(_result: FileResult) -> None:
        raise KeyError("progress")

    with pytest.raises(KeyError):
        batch("corrupt", "writing", progress=fail)


SCRIPT = """
import sys
from pathlib import Path
from vqcodec.batch.run import run_jobs
from vqcodec.batch.jobs import Job
import odd_work

def go():
    jobs = [Job(Path(name), Path(f"{name}.out")) for name in ("fine", "writing")]
    run_jobs(jobs, odd_work.work, workers=2)

"""


def test_workers_end_with_their_parent(tmp_path):
    (tmp_path / "odd_work.py").write_text(ODD_WORK.replace("sleep(100)", "sleep(1)"))
    (tmp_path / "script.py").write_text(SCRIPT + "if __name__ == '__main__':\n    go()\n")
    path = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    command = [sys.executable, "script.py"]
    process = subprocess.Popen(command, cwd=tmp_path, env=path, stdout=subprocess.PIPE)
    while not (tmp_path / "fine.out").exists():
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    # The workers hold the pipe's other end as long as they live.
    assert process.communicate(timeout=30)[0] == b""


def test_a_script_without_a_main_guard_is_told_why_it_fails(tmp_path):
    (tmp_path / "odd_work.py").write_text(ODD_WORK)
    (tmp_path / "script.py").write_text(SCRIPT + "go()\n")
    path = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert b"needs `if __name__ == '__main__':`" in done.stderr.splitlines()[-1]


def test_worker_count():
    assert worker_count(1, 100) == 1
    assert worker_count(3, 100) == 3
    assert worker_count(3, 2) == 2
    assert worker_count(3, 0) == 1
    assert worker_count(0, 1000) == cores()
    with pytest.raises(ValueError, match="jobs"):
        worker_count(-1, 5)


def test_report_prints_as_a_table():
    info = ImageInfo(640, 480, "RGB", 50.0, 9600, "00" * 8, seconds=1.25)
    results = (
        FileResult(Path("a.png"), Path("out/a.vqc"), info),
        FileResult(Path("long name.png"), Path("b.vqc"), error=CorruptData("damaged\nindeed")),
        FileResult(Path("c.png"), Path("c.vqc")),
    )
    assert str(BatchReport(results)).splitlines() == [
        "file              size  quality  bytes    bpp  seconds  result",
        "a.png          640x480       50   9600  0.250     1.25  out/a.vqc",
        "long name.png                                           failed: damaged",
        "c.png                                                   skipped",
        "1 done, 1 skipped, 1 failed, 9600 bytes, 0.250 bpp",
    ]
    assert str(BatchReport(())).splitlines()[-1] == "0 done, 0 skipped, 0 failed"
