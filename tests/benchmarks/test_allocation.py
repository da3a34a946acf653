"""benchmarks.allocation: what a dial does between pictures, told apart from what coding does."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vqcodec.compress.dial import TYPICAL, busyness, level_from_quality

NAMES = ("busy.png", "smooth.png")


@pytest.fixture
def pixels() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        name: (128 + random.integers(-reach, reach + 1, (48, 64, 3))).astype(np.uint8)
        for name, reach in zip(NAMES, (40, 3), strict=True)
    }


@pytest.fixture
def allocation(bench) -> ModuleType:
    return bench("allocation")


def sample(level: float, busy: float, factor: float) -> dict[str, Any]:
    """A picture whose bits double every 40 levels, for 4 dB; busy ones take more bits for a lower PSNR."""
    rate = 0.1 * factor * busy / TYPICAL * 2 ** (level / 40)
    psnr = 30 + level / 10 - 4 * math.log2(busy / TYPICAL)
    return {"bytes": round(1000 * rate), "bpp": rate, "psnr": psnr}


@pytest.fixture
def results(bench, pixels) -> Any:
    """The other codec takes a quarter more bits for everything, and has no adaptive dial."""
    store = bench("report.results")
    identify = bench("rate_distortion").identify
    busy = {name: busyness(picture) for name, picture in pixels.items()}
    found = store.Results({name: identify(picture) for name, picture in pixels.items()})
    for codec, factor in (("webp", 1.25), ("vqcodec", 1.0)):
        points = {}
        for quality in (0.0, 25.0, 50.0, 75.0, 100.0):
            adapted = {name: level_from_quality(quality, b) for name, b in busy.items()}
            levels = adapted if codec == "vqcodec" else dict.fromkeys(busy, 2.52 * quality)
            samples = {n: store.Sample(**sample(levels[n], b, factor)) for n, b in busy.items()}
            points[quality] = store.Point(quality, samples)
        found.codecs[codec] = store.CodecResult({}, {}, points)
    return found


def test_pictures_by_themselves_are_compared_without_the_dial(allocation, results):
    assert allocation.picture_percents(results, "webp") == [pytest.approx(-20, abs=0.01)] * 2
    rows = allocation.picture_rows(results)
    assert rows[0][1:] == ["webp"]
    assert [row[0] for row in rows[1:]] == [*NAMES, "mean of these", "of the mean curves"]
    assert rows[3][1] == "-20.0 %" != rows[4][1]


def test_strengths_are_read_off_the_measured_levels(allocation, results, pixels):
    found = allocation.Dial(results, {name: busyness(picture) for name, picture in pixels.items()})
    assert found.figures == ["psnr"]
    head, *rows = found.rows()
    assert head == ["strength", "spread, PSNR, dB", "BD-rate webp"]
    by_name = {row[0]: row[1:] for row in rows}
    # With strength 0 both dials are the same, and so the difference is that of the codecs.
    assert by_name["0"][1] == "-20.0 %"
    spreads = [float(by_name[f"{strength:g}"][0]) for strength in allocation.STRENGTHS]
    assert spreads == sorted(spreads)
    assert spreads[0] < spreads[-1]
    assert float(by_name["webp"][0]) == pytest.approx(spreads[0], abs=0.02)


def test_the_command_wants_the_pictures_of_the_results(allocation, results, pixels, tmp_path: Path, capsys):
    path, folder = tmp_path / "r.json", tmp_path / "pictures"
    results.save(path)
    folder.mkdir()
    for name, picture in pixels.items():
        Image.fromarray(picture).save(folder / name)
    assert allocation.main([str(path), "--data", str(folder)]) == 0
    assert "mean of these" in capsys.readouterr().out
    Image.fromarray(255 - pixels["busy.png"]).save(folder / "busy.png")
    assert allocation.main([str(path), "--data", str(folder)]) == 1
    assert "other pictures" in capsys.readouterr().err
    assert allocation.main([str(path), "--data", str(tmp_path / "nowhere")]) == 1
