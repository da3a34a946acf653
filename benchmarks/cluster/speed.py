"""Pictures per second of Ray against the batch of one machine, and of Ray's driver alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster.nodes import QUIET
from benchmarks.processes import figures_of
from vqcodec.batch.jobs import Job


def compare(photos: Path, root: Path, model: str, cores: int, repeats: int) -> dict[str, Any]:
    """Both on the same cores, by turns, each time in a fresh process; the best of each.

    "seconds" are those of the whole call, with the start of workers and weights; "pictures_per_s" those of
    the workers at work, from the first result to the last.
    """
    rows: dict[str, list[dict[str, float]]] = {"batch": [], "ray": []}
    for number in range(repeats):
        for way in rows:
            target = root / f"{way}-{number}"
            words = ["one", way, str(photos), str(target), "--model", model, "--cores", str(cores)]
            rows[way].append(figures_of("benchmarks.cluster", words, 1))
    best = {way: max(figures, key=lambda row: row["pictures_per_s"]) for way, figures in rows.items()}
    return {
        "cores": cores,
        "runs": rows,
        "ray_over_batch": round(best["ray"]["pictures_per_s"] / best["batch"]["pictures_per_s"], 3),
        "ray_over_batch_with_start": round(
            min(row["seconds"] for row in rows["batch"]) / min(row["seconds"] for row in rows["ray"]), 3
        ),
    }


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
