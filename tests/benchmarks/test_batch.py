"""The benchmark of many small photographs, on few tiny ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture


@pytest.fixture
def benchmark(bench):
    return bench("batch")


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data" / "sub"
    folder.mkdir(parents=True)
    Image.fromarray(picture(70, 90)).save(folder / "a.png")
    Image.fromarray(picture(40, 200)).save(folder / "low.png")
    return folder.parent


def test_crops_are_parts_of_the_pictures_and_the_same_in_every_run(benchmark, data, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        benchmark.cut_crops(data, tmp_path / name, 3, 64)
    crops = [sorted((tmp_path / name).iterdir()) for name in ("one", "two")]
    assert [path.name for path in crops[0]] == ["00000.png", "00001.png", "00002.png"]
    assert [path.read_bytes() for path in crops[0]] == [path.read_bytes() for path in crops[1]]
    original = picture(70, 90)
    found = np.asarray(Image.open(crops[0][0]))
    places = [(y, x) for y in range(7) for x in range(27)]
    assert any(np.array_equal(original[y : y + 64, x : x + 64], found) for y, x in places)
    with pytest.raises(ValueError, match="no picture of 300x300"):
        benchmark.cut_crops(data, tmp_path / "one", 1, 300)


@pytest.mark.slow
def test_both_actions_are_timed_in_both_ways(benchmark, data, tmp_path, tiny_weights, monkeypatch, capsys):
    def here(module: str, words: list[str], threads: int) -> dict[str, float]:
        assert module == "benchmarks.batch"
        assert benchmark.main(words) == 0
        assert words[-1] == str(threads)
        return dict(json.loads(capsys.readouterr().out))

    monkeypatch.setattr(benchmark, "figures_of", here)
    words = ["--data", str(data), "--count", "3", "--side", "64", "--model", str(tiny_weights)]
    assert benchmark.main([*words, "--threads", "1", "--out", str(tmp_path / "batch.json")]) == 0
    result = json.loads((tmp_path / "batch.json").read_text())
    assert [row["action"] for row in result["actions"]] == ["compress", "decompress"]
    assert result["settings"] == {"count": 3, "side": 64, "jobs": 1}
    assert "| decompress |" in capsys.readouterr().out


def faked(benchmark, monkeypatch, batch: bytes) -> None:
    """Stands for the processes: the loop takes 6 s and writes b"file", the batch 2 s and writes `batch`."""

    def figures_of(module: str, words: list[str], threads: int) -> dict[str, float]:
        way, target = words[1], Path(words[3])
        target.mkdir()
        (target / "00000.vqc").write_bytes(batch if way == "batch" else b"file")
        return {"seconds": 2.0 if way == "batch" else 6.0}

    monkeypatch.setattr(benchmark, "figures_of", figures_of)


def test_faster_is_how_many_times_as_long_the_loop_takes(benchmark, data, tmp_path, monkeypatch, capsys):
    faked(benchmark, monkeypatch, b"file")
    words = ["--data", str(data), "--count", "1", "--side", "32", "--out", str(tmp_path / "batch.json")]
    assert benchmark.main(words) == 0
    for row in json.loads((tmp_path / "batch.json").read_text())["actions"]:
        assert (row["loop_s"], row["batch_s"], row["faster"]) == (6.0, 2.0, 3.0)
    assert "| 3.00x" in capsys.readouterr().out


def test_a_batch_that_writes_other_files_than_the_loop_is_refused(benchmark, data, monkeypatch):
    faked(benchmark, monkeypatch, b"fil!")
    with pytest.raises(RuntimeError, match="not give the same files"):
        benchmark.main(["--data", str(data), "--count", "1", "--side", "32"])
