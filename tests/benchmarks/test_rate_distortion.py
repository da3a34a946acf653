"""The benchmark scripts on tiny generated pictures; vqcodec itself is left out, so no weights are needed."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tiny import picture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmarks(bench: Callable[[str], ModuleType]) -> ModuleType:
    return bench("rate_distortion")


def run(module: ModuleType, pictures: Path, out: Path, *extra: str) -> dict[str, Any]:
    command = ["--data", str(pictures), "--out", str(out), "--codecs", "jpeg", "webp"]
    assert module.main([*command, "--qualities", "10", "50", "90", *extra]) == 0
    results: dict[str, Any] = json.loads(out.read_text())
    return results


def test_rates_are_whole_files_and_means_are_of_pictures(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run(benchmarks, pictures, tmp_path / "out.json")
    assert results["schema"] == 1
    jpeg = results["codecs"]["jpeg"]
    assert jpeg["settings"]["subsampling"] == "4:2:0"
    assert "pillow" in jpeg["versions"]
    assert [point["quality"] for point in jpeg["points"]] == [10, 50, 90]
    point = jpeg["points"][1]
    with Image.open(pictures / "a.png") as original:
        original.save(tmp_path / "a.jpg", quality=50, subsampling="4:2:0", optimize=True, progressive=True)
        with Image.open(tmp_path / "a.jpg") as coded:
            error = np.asarray(original, np.float64) - np.asarray(coded, np.float64)
    sample = point["images"]["a.png"]
    assert sample["bytes"] == (tmp_path / "a.jpg").stat().st_size
    assert sample["bpp"] == pytest.approx(8 * sample["bytes"] / (48 * 32), abs=1e-6)
    assert sample["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)), abs=1e-5)
    for figure in ("bpp", "psnr"):
        values = [image[figure] for image in point["images"].values()]
        assert len(values) == 2
        assert point[figure] == pytest.approx(sum(values) / 2, abs=1e-5)
    printed = capsys.readouterr()
    assert f"| {point['bpp']:.4f}" in printed.out
    assert "BD-rate (PSNR, dB) against" in printed.out
    assert "dB)" in printed.out
    assert printed.err == ""  # no progress bar without a terminal


def test_resume_measures_only_what_is_missing(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    whole = run(benchmarks, pictures, out)
    partial = json.loads(out.read_text())
    del partial["codecs"]["webp"]["points"][2]["images"]["b.png"]
    partial["codecs"]["jpeg"]["versions"]["pillow"] = "of another day"  # must not be used again
    out.write_text(json.dumps(partial))

    measured: list[tuple[str, float]] = []
    measure = benchmarks.measure

    def spy(codec: Any, pixels: Any, quality: float, figures: Any) -> Any:
        measured.append((codec.name, quality))
        return measure(codec, pixels, quality, figures)

    monkeypatch.setattr(benchmarks, "measure", spy)
    assert run(benchmarks, pictures, out, "--resume") == whole
    assert sorted(measured) == sorted([("jpeg", q) for q in (10, 50, 90)] * 2 + [("webp", 90)])


def test_an_interrupted_run_keeps_what_it_has(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    calls = 0
    measure = benchmarks.measure

    def interrupted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return measure(*args)

    monkeypatch.setattr(benchmarks, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(benchmarks, pictures, out)
    kept = json.loads(out.read_text())["codecs"]["jpeg"]["points"]
    assert [len(point["images"]) for point in kept] == [1, 1, 0]
    assert [point["complete"] for point in kept] == [False, False, False]
    assert kept[0]["bpp"] is None  # a mean over some of the pictures would mislead


def test_further_figures_are_measured_where_they_are_missing(
    benchmarks: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, out = tmp_path / "large", tmp_path / "out.json"
    pictures.mkdir()
    Image.fromarray(picture(192, 208)).save(pictures / "a.png")
    plain = run(benchmarks, pictures, out)
    capsys.readouterr()
    more = run(benchmarks, pictures, out, "--resume", "--figures", "ms_ssim", "ssimulacra2")
    printed = capsys.readouterr().out
    assert "BD-rate (MS-SSIM) against" in printed
    assert "BD-rate (SSIMULACRA2) against" in printed
    for codec in ("jpeg", "webp"):
        points = more["codecs"][codec]["points"]
        for name, most in (("ms_ssim", 1), ("ssimulacra2", 100)):
            values = [point[name] for point in points]
            assert values == sorted(values)
            assert values[-1] < most
            assert points[0]["images"]["a.png"][name] == pytest.approx(values[0], abs=1e-5)
        for point in points:
            for mapping in (point, point["images"]["a.png"]):
                del mapping["ms_ssim"], mapping["ssimulacra2"]
    for name in ("ms_ssim", "ssimulacra2"):
        assert more["definition"].pop(name)
    assert more == plain
    Image.fromarray(picture(100, 208)).save(pictures / "a.png")
    command = ["--data", str(pictures), "--out", str(out), "--force", "--codecs", "jpeg"]
    assert benchmarks.main([*command, "--figures", "ms_ssim"]) == 1
    assert "176 pixels" in capsys.readouterr().err


def test_figures_that_are_there_stay_when_others_are_asked_for(
    benchmarks: ModuleType,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.json"
    run(benchmarks, pictures, out, "--figures", "ssimulacra2")
    first = json.loads(out.read_text())
    asked: list[list[str]] = []
    measure = benchmarks.measure

    def judged(codec: Any, pixels: Any, quality: float, figures: list[str]) -> Any:
        asked.append(figures)
        sample = measure(codec, pixels, quality)
        return dataclasses.replace(sample, lpips=0.25)  # LPIPS has weights that a test does not have

    monkeypatch.setattr(benchmarks, "measure", judged)
    monkeypatch.setattr(benchmarks, "_ready", {**first["definition"], "lpips": "a constant"}.get)
    both = run(benchmarks, pictures, out, "--resume", "--figures", "ssimulacra2", "lpips")
    assert asked == [["lpips"]] * 12
    assert both["definition"].pop("lpips") == "a constant"
    for codec in both["codecs"].values():
        for point in codec["points"]:
            assert [part.pop("lpips") for part in (point, *point["images"].values())] == [0.25] * 3
    assert both == first

    first["codecs"]["webp"]["points"][0]["images"]["a.png"]["bytes"] += 1
    out.write_text(json.dumps(first))
    command = ["--data", str(pictures), "--out", str(out), "--resume", "--codecs", "webp"]
    assert benchmarks.main([*command, "--qualities", "10", "--figures", "lpips"]) == 1
    assert "--force measures all anew" in capsys.readouterr().err


def test_figures_of_another_definition_are_measured_again(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    whole = run(benchmarks, pictures, out, "--figures", "ssimulacra2")
    old = json.loads(out.read_text())
    old["definition"]["ssimulacra2"] = "the package ssimulacra2"
    for point in old["codecs"]["jpeg"]["points"]:
        for sample in point["images"].values():
            sample["ssimulacra2"] -= 0.3
    out.write_text(json.dumps(old))
    assert run(benchmarks, pictures, out, "--resume", "--figures", "ssimulacra2") == whole


def test_what_a_judge_lacks_is_said_before_anything_is_measured(
    benchmarks: ModuleType,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    benchmarks.measures.judge.cache_clear()
    out = tmp_path / "out.json"
    command = ["--data", str(pictures), "--out", str(out), "--codecs", "jpeg", "--figures"]
    for judge, advice in (
        ("butteraugli", "apt-get install libjxl-devtools"),
        ("cvvdp", "pip install --no-deps cvvdp"),
        ("lpips", "benchmarks.fetch_weights"),
    ):
        assert benchmarks.main([*command, judge]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert advice in said
        assert not out.exists()


def test_results_are_not_mixed_or_overwritten_by_accident(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    run(benchmarks, pictures, out)
    command = ["--data", str(pictures), "--out", str(out), "--codecs", "jpeg", "--qualities", "20"]
    assert benchmarks.main(command) == 1
    assert "--resume continues it" in capsys.readouterr().err
    (pictures / "a.png").unlink()
    assert benchmarks.main([*command, "--resume"]) == 1
    assert "other pictures" in capsys.readouterr().err
    assert benchmarks.main([*command, "--force"]) == 0
    assert list(json.loads(out.read_text())["dataset"]) == ["b.png"]
    out.write_text("[]")
    assert benchmarks.main([*command, "--resume"]) == 1
    assert "not a result file" in capsys.readouterr().err


def test_published_curves_are_called_published(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        benchmarks,
        pictures,
        tmp_path / "out.json",
        "--published",
        str(ROOT / "benchmarks/published_kodak.json"),
    )
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("| VTM 9.1, published") for line in lines)


def test_published_curves_that_are_not_there_are_missed_before_the_work(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(pictures), "--out", str(tmp_path / "out.json"), "--codecs", "jpeg"]
    assert benchmarks.main([*words, "--published", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_plot(benchmarks: ModuleType, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run(benchmarks, pictures, tmp_path / "out.json", "--plot", str(tmp_path / "rd.png"))
    with Image.open(tmp_path / "rd.png") as image:
        assert min(image.size) > 300


def test_several_pictures_at_a_time_give_the_same_file(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path
) -> None:
    assert run(benchmarks, pictures, tmp_path / "two.json", "--jobs", "2") == run(
        benchmarks, pictures, tmp_path / "one.json"
    )


def test_two_result_files_are_compared(
    bench: Callable[[str], ModuleType], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, one, two = bench("rate_distortion"), tmp_path / "one.json", tmp_path / "two.json"
    before = run(module, pictures, one)
    for point in before["codecs"]["jpeg"]["points"]:
        for sample in point["images"].values():
            sample["bpp"] /= 2
    two.write_text(json.dumps(before))
    capsys.readouterr()
    report = bench("report.curves")
    assert report.main([str(two), "--against", str(one)]) == 0
    printed = capsys.readouterr().out
    assert "| jpeg                                  | -50.0 % (" in printed
    assert "| webp                                  | +0.0 % (" in printed
    before["dataset"]["a.png"]["width"] = 1
    two.write_text(json.dumps(before))
    assert report.main([str(two), "--against", str(one)]) == 1
    assert "different pictures" in capsys.readouterr().err
