"""What happens to a job when workers, nodes, disks and the caller go away."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from benchmarks.cluster.nodes import QUIET, cluster, kill_node, kill_worker, node_with_full_disk
from benchmarks.processes import ROOT, environment, program
from vqcodec.batch.jobs import FileResult

TEMPORARY = ".*.vqcodec.tmp"
BAD = 5
"""Files among the pictures that are none."""


def killed(photos: Path, expected: Path, root: Path) -> dict[str, Any]:
    """Two nodes; a worker is killed after a quarter of the results, and its whole node after half of them."""
    from vqcodec.cluster import compress_dataset  # noqa: PLC0415  an extra

    output = root / "killed"
    total = len(list(photos.iterdir()))
    seen = 0
    there: dict[Path, tuple[int, int]] = {}
    began = time.perf_counter()
    with cluster([1, 1]) as (_, (_, node)):

        def progress(_result: FileResult) -> None:
            nonlocal seen
            seen += 1
            if seen == total // 4:
                kill_worker(node)
            if seen == total // 2:
                there.update((path, _stamp(path)) for path in output.glob("*.vqc"))
                kill_node(node)

        report = compress_dataset(photos, output, progress=progress)
    table = ds.dataset(output / "manifest.parquet").to_table().to_pydict()
    rewritten = sum(_stamp(path) != stamp for path, stamp in there.items())
    return {
        "files": total,
        "done": report.done,
        "failed": sorted(Path(str(result.source)).name for result in report.failed),
        "rows": len(table["path"]),
        "rows_twice": sum(count > 1 for count in Counter(table["path"]).values()),
        "written_when_node_was_killed": len(there),
        "of_these_written_again": rewritten,
        "half_written_left": len(list(output.glob(TEMPORARY))),
        "seconds": round(time.perf_counter() - began, 1),
        **_same(expected, output),
    }


def full_disk(photos: Path, expected: Path, root: Path) -> dict[str, Any]:
    """Two nodes, of which one has a full disk; and then the job again without it."""
    from vqcodec.cluster import compress_dataset  # noqa: PLC0415  an extra

    output = root / "full_disk"
    output.mkdir()
    with cluster([1]) as (made, _), node_with_full_disk(made.address, output):
        _wait_for_cores(2)
        first = compress_dataset(photos, output)
    errors = Counter(str(result.error).partition(": ")[0] for result in first.failed)
    held = len(list(output.glob("*.vqc")))
    with cluster([1, 1]):
        second = compress_dataset(photos, output, skip_existing=True)
    return {
        "files": len(list(photos.iterdir())),
        "done": first.done,
        "errors": dict(errors),
        "files_there": held,
        "then_skipped": second.skipped,
        "then_done": second.done,
        "then_failed": len(second.failed),
        **_same(expected, output),
    }


def interrupted(photos: Path, expected: Path, root: Path) -> dict[str, Any]:
    """The command line, Ctrl-C after a third of the files, and the same command again."""
    output = root / "interrupted"
    words = ["compress", "-r", str(photos), "--output-dir", str(output), "--engine", "ray", "--skip-existing"]
    command = program("vqcodec", *words, "--quiet")
    variables = {**environment(1), **QUIET}
    total = len(list(photos.iterdir()))
    with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and _count(output) < total // 3:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        began = time.perf_counter()
        _, told = process.communicate()
    ended = time.perf_counter() - began
    held = _count(output)
    stamps = {path: _stamp(path) for path in output.glob("*.vqc")}
    again = subprocess.run(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True, check=False)
    return {
        "files": total,
        "exit_code": process.returncode,
        "told": told.strip().splitlines()[-1:],
        "seconds_to_end": round(ended, 2),
        "there_then": held,
        "of_these_written_again": sum(_stamp(path) != stamp for path, stamp in stamps.items()),
        "exit_code_again": again.returncode,
        "half_written_left": len(list(output.glob(TEMPORARY))),
        **_same(expected, output),
    }


def _same(expected: Path, output: Path) -> dict[str, Any]:
    """How the files of a folder compare with those of the loop in one process."""
    names = {path.name for path in expected.glob("*.vqc")}
    there = {path.name for path in output.glob("*.vqc")}
    other = [name for name in names & there if _bytes(expected / name) != _bytes(output / name)]
    return {"missing": len(names - there), "unexpected": len(there - names), "different": len(other)}


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _count(folder: Path) -> int:
    return len(list(folder.glob("*.vqc")))


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _wait_for_cores(count: int, patience: float = 120) -> None:
    import ray  # noqa: PLC0415  an extra

    end = time.monotonic() + patience
    while ray.cluster_resources().get("CPU", 0) < count:
        if time.monotonic() > end:
            raise RuntimeError(f"the cluster has not got {count} cores")
        time.sleep(0.2)
