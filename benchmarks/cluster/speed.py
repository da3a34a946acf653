"""Pictures per second of Ray against the batch of one machine, and of Ray's driver alone."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster.nodes import QUIET, children
from benchmarks.processes import figures_of
from vqcodec.batch.jobs import Job


def compare(photos: Path, root: Path, model: str, cores: int, repeats: int) -> dict[str, Any]:
    """Both on the same cores, by turns, each time in a fresh process; the best of each counts.

    "seconds" are those of the whole call, with the start of workers and weights; "pictures_per_s" those of
    the workers at work, from the first result to the last. Other work on the machine stretches both, and of
    one way perhaps more than of the other. So "cpu_ms_per_picture" is the processor time of all processes of
    a way, from the first result to the last: on cores with nothing else to do, pictures per second go as its
    inverse.
    """
    rows: dict[str, list[dict[str, float]]] = {"batch": [], "ray": []}
    for number in range(repeats):
        for way, row in rows.items():
            words = ["one", way, str(photos), str(root / f"{way}-{number}"), "--model", model]
            row.append(figures_of("benchmarks.cluster", [*words, "--cores", str(cores)], 1))
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


def one(way: str, photos: Path, target: Path, model: str, cores: int) -> dict[str, float]:
    """One of the two on all files of a folder, in this process; bad files do not count."""
    stamps: list[float] = []
    used: list[float] = []
    total = len(list(photos.iterdir()))
    meter = _Meter()
    begun = time.perf_counter()

    def progress(_: Any) -> None:
        stamps.append(time.perf_counter())
        if len(stamps) in (1, total):
            used.append(meter.seconds())
        meter.seconds(at_least_every=0.3)

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
        "cpu_ms_per_picture": round(1e3 * (used[-1] - used[0]) / (len(stamps) - first), 2),
    }


class _Meter:
    """Processor time of this process and all below it, also of those that have ended since. Linux."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        self._seen = -1.0

    def seconds(self, at_least_every: float = 0.0) -> float:
        """Of all processes seen so far; looks at them only if the last look was so long ago."""
        now = time.perf_counter()
        if now - self._seen >= at_least_every:
            self._seen = now
            for number in (os.getpid(), *children(os.getpid())):
                with contextlib.suppress(OSError):
                    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
                    self._ticks[number] = sum(map(int, fields[11:13]))
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")


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
    used: list[float] = []
    begun = time.perf_counter()

    def progress(_: Any) -> None:
        stamps.append(time.perf_counter())
        if len(stamps) in (1, len(missing)):
            used.append(time.process_time())

    convert(
        plan_jobs(missing, ".vqc", (".png",)),
        CompressWork(ModelCache(device="cpu")),
        Setting(workers=2, progress=progress),
    )
    busy = stamps[-1] - stamps[0]
    return {
        "units": units,
        "pictures": len(missing),
        "seconds_before_first": round(stamps[0] - begun, 2),
        "pictures_per_s": round(len(missing) / busy),
        "driver_cpu_ms_per_unit": round(1e3 * (used[-1] - used[0]) / units, 2),
    }
