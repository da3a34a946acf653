"""Pictures per second of Ray against the batch of one machine, and of Ray's driver alone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster.nodes import QUIET
from benchmarks.processes import figures_of
from vqcodec.batch.jobs import Job

_SET_CHILD_SUBREAPER = 36
"""Of prctl."""


def compare(photos: Path, root: Path, model: str, cores: int, repeats: int) -> dict[str, Any]:
    """Both on the same cores, by turns, each time in a fresh process.

    Other work on the machine stretches seconds, of one way perhaps more than of the other; so processor time
    counts as well, of all processes that a way starts: that of all pictures less that of a tenth of them, by
    the number of the others, is what a picture costs once all runs. On cores that have nothing else to do,
    pictures per second go as its inverse.

    "seconds" are those of the whole call, with the start of workers and weights; "pictures_per_s" those of
    the workers at work, from the first result to the last; of both the best run.
    """
    few = root / "few"
    few.mkdir()
    names = sorted(path.name for path in photos.iterdir())
    for name in names[: len(names) // 10]:
        (few / name).symlink_to(photos / name)
    rows: dict[str, list[dict[str, float]]] = {"batch": [], "ray": []}
    for number in range(repeats):
        for way, row in rows.items():
            start = _figures(way, few, root / f"{way}-few-{number}", model, cores)
            figures = _figures(way, photos, root / f"{way}-{number}", model, cores)
            more = len(names) - len(names) // 10
            figures["cpu_ms_per_picture"] = round(1e3 * (figures["cpu_s"] - start["cpu_s"]) / more, 2)
            row.append(figures)
    cost = {way: min(row["cpu_ms_per_picture"] for row in found) for way, found in rows.items()}
    speed = {way: max(row["pictures_per_s"] for row in found) for way, found in rows.items()}
    whole = {way: min(row["seconds"] for row in found) for way, found in rows.items()}
    return {
        "cores": cores,
        "runs": rows,
        "ray_over_batch": {
            "by_processor_time": round(cost["batch"] / cost["ray"], 3),
            "by_pictures_per_s": round(speed["ray"] / speed["batch"], 3),
            "by_seconds_with_start": round(whole["batch"] / whole["ray"], 3),
        },
    }


def _figures(way: str, photos: Path, target: Path, model: str, cores: int) -> dict[str, float]:
    """What `one` finds in a process of its own, and the processor time of all that this starts. Linux."""
    # What loses its parent is ours to wait for, and with that its time is counted.
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = _children_s()
    words = ["one", way, str(photos), str(target), "--model", model, "--cores", str(cores)]
    figures = figures_of("benchmarks.cluster", words, 1)
    end = time.monotonic() + 20
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
    return {**figures, "cpu_s": round(_children_s() - before, 2)}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one(way: str, photos: Path, target: Path, model: str, cores: int) -> dict[str, float]:
    """One of the two on all files of a folder, in this process; bad files do not count."""
    stamps: list[float] = []
    begun = time.perf_counter()

    def progress(_: Any) -> None:
        stamps.append(time.perf_counter())

    if way == "batch":
        import vqcodec  # noqa: PLC0415  its time counts

        vqcodec.compress_batch([photos], target, model=model, device="cpu", jobs=cores, progress=progress)
    else:
        os.environ.update(QUIET)
        from vqcodec.cluster import compress_dataset  # noqa: PLC0415  its time counts

        compress_dataset(
            photos, target, model=model, device="cpu", workers=cores, progress=progress, manifest=False
        )
    seconds = time.perf_counter() - begun
    # The first results of Ray come by the unit: those of a moment are one.
    first = sum(stamp < stamps[0] + 0.05 for stamp in stamps)
    busy = stamps[-1] - stamps[0]
    return {
        "seconds": round(seconds, 2),
        "start_s": round(stamps[0] - begun, 2),
        "pictures_per_s": round((len(stamps) - first) / busy, 2),
    }


def dispatch(root: Path, units: int, per_unit: int) -> dict[str, Any]:
    """How many units and results the driver and Ray handle, of files that all fail at once."""
    os.environ.update(QUIET)
    from vqcodec.batch.work import CompressWork  # noqa: PLC0415  an extra's
    from vqcodec.cluster.planning import plan_jobs  # noqa: PLC0415
    from vqcodec.cluster.run import Setting, convert  # noqa: PLC0415
    from vqcodec.cluster.units import MOST_PICTURES  # noqa: PLC0415
    from vqcodec.loading import ModelCache  # noqa: PLC0415

    assert per_unit <= MOST_PICTURES
    missing = [
        Job(root / f"missing/{number}.png", root / f"out/{number}.vqc") for number in range(units * per_unit)
    ]
    stamps: list[float] = []
    begun, cpu = time.perf_counter(), time.process_time()
    convert(
        plan_jobs(missing, ".vqc", (".png",)),
        CompressWork(ModelCache(device="cpu")),
        Setting(workers=2, progress=lambda _: stamps.append(time.perf_counter())),
    )
    busy = stamps[-1] - stamps[0]
    return {
        "units": units,
        "pictures": len(missing),
        "seconds_before_first": round(stamps[0] - begun, 2),
        "pictures_per_s": round(len(missing) / busy),
        "driver_cpu_ms_per_unit": round(1e3 * (time.process_time() - cpu) / units, 2),
    }
