"""The benchmark scripts on tiny generated pictures; vqcodec itself is left out, so no weights are needed."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.bd_rate import RatePoint, bd_rate
from tests.tiny import picture
from vqcodec.model.precision import in_bfloat16

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benchmarks(bench: Callable[[str], ModuleType]) -> ModuleType:
    return bench("rate_distortion")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two noisy gradients, 48x32 and 33x40."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(7)
    for name, height, width in (("a.png", 32, 48), ("b.png", 40, 33)):
        ramp = np.linspace(40, 200, height * width * 3).reshape(height, width, 3)
        noise = random.normal(0, 8, ramp.shape)
        Image.fromarray((ramp + noise).clip(0, 255).astype(np.uint8)).save(folder / name)
    return folder


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
    assert more == plain
    Image.fromarray(picture(100, 208)).save(pictures / "a.png")
    command = ["--data", str(pictures), "--out", str(out), "--force", "--codecs", "jpeg"]
    assert benchmarks.main([*command, "--figures", "ms_ssim"]) == 1
    assert "176 pixels" in capsys.readouterr().err


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


def test_plot(benchmarks: ModuleType, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run(benchmarks, pictures, tmp_path / "out.json", "--plot", str(tmp_path / "rd.png"))
    with Image.open(tmp_path / "rd.png") as image:
        assert min(image.size) > 300


def test_speed_compares_at_one_rate(
    bench: Callable[[str], ModuleType], pictures: Path, tmp_path: Path
) -> None:
    speed = bench("speed")
    out = tmp_path / "speed.json"
    command = ["--image", str(pictures / "a.png"), "--codecs", "jpeg", "webp", "--bpp", "5", "--repeats", "2"]
    assert speed.main([*command, "--out", str(out)]) == 0
    runs = json.loads(out.read_text())["runs"]
    assert [(figures["codec"], figures["threads"]) for figures in runs] == [("jpeg", 1), ("webp", 1)]
    for figures in runs:
        assert figures["bpp"] == pytest.approx(5, rel=0.15)
        assert 0 < figures["encode_s"] < 10
        assert 0 < figures["decode_s"] < 10


def test_bisection_finds_the_nearest_rate(bench: Callable[[str], ModuleType]) -> None:
    speed = bench("speed")
    scale = range(101)
    for target, quality in ((-1.0, 0), (0.0, 0), (0.26, 5), (0.24, 5), (1.0, 10), (99.0, 99), (1e6, 100)):
        rates = [q * q / 100 if q <= 10 else float(q) for q in scale]
        assert speed.nearest_quality(lambda q, rates=rates: rates[q], scale, target) == quality


def test_several_pictures_at_a_time_give_the_same_file(
    benchmarks: ModuleType, pictures: Path, tmp_path: Path
) -> None:
    assert run(benchmarks, pictures, tmp_path / "two.json", "--jobs", "2") == run(
        benchmarks, pictures, tmp_path / "one.json"
    )


def test_results_of_another_precision_are_other_results(
    bench: Callable[[str], ModuleType], tiny_weights: Path
) -> None:
    full, half = (
        bench("codecs").make("vqcodec", model=str(tiny_weights), precision=kind)
        for kind in ("float32", "bfloat16")
    )
    assert half.settings == full.settings | {"precision": "bfloat16"}


def test_speed_splits_our_time_and_compares_sizes_and_commands(
    bench: Callable[[str], ModuleType], tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "a.png", tmp_path / "speed.json"
    Image.fromarray(picture(64, 96)).save(source)
    words = ["--image", str(source), "--model", str(tiny_weights), "--codecs", "jpeg", "vqcodec"]
    words += ["--sides", "0", "80", "--repeats", "1", "--commands", "--devices", "cpu", "--out", str(out)]
    assert bench("speed").main(words) == 0
    result = json.loads(out.read_text())
    assert bench("speed").main([*words, "--resume"]) == 0
    assert json.loads(out.read_text())["runs"] == result["runs"]
    assert [(run["codec"], run["pixels"]) for run in result["runs"]] == [
        ("jpeg", 64 * 96),
        ("vqcodec", 64 * 96),
        ("jpeg", 80 * 80),
        ("vqcodec", 80 * 80),
    ]
    # Time is taken as people have it here; other figures are of float32, which is alike everywhere.
    own_precision = "bfloat16" if in_bfloat16("auto", "cpu") else "float32"
    for run in result["runs"]:
        ours = run["codec"] == "vqcodec"
        assert run.get("precision") == (own_precision if ours else None)
        assert run.get("png_read_s", 0) > 0 or not ours
        for action, parts in (
            ("encode", {"prior", "analysis", "coding"}),
            ("decode", {"prior", "synthesis"}),
        ):
            split = run[f"{action}_parts_s"]
            assert (parts <= set(split)) == ours
            assert all(seconds >= 0 for seconds in split.values())
            assert sum(split.values()) <= run[f"{action}_s"]
    jpeg, own = result["runs"][2:]
    printed = capsys.readouterr().out
    assert f"(x{own['encode_s'] / jpeg['encode_s']:.3g})" in printed
    assert {entry["codec"] for entry in result["commands"]} == {"jpeg", "vqcodec"}
    assert set(result["starts"]) == {"--version", "--help", "info"}
    assert "| vqcodec info" in printed
    # What other weights or settings gave is not kept.
    words.remove("--commands")
    older = {**result, "runs": [{**jpeg, "side": 0, "versions": {"pillow": "0"}}]}
    out.write_text(json.dumps(older))
    assert bench("speed").main([*words, "--codecs", "jpeg", "--sides", "0", "--resume"]) == 0
    assert [run["versions"] for run in json.loads(out.read_text())["runs"]] == [jpeg["versions"]]
    assert bench("speed").main([*words, "--bpp", "2", "--resume"]) == 1
    assert "other settings" in capsys.readouterr().err


def test_figures_in_the_readmes_are_those_of_the_result_files(bench: Callable[[str], ModuleType]) -> None:
    readme = bench("report.readme")
    marks = 0
    for path in readme.FILES:
        text = path.read_text(encoding="utf-8")
        marks += text.count("<!-- figures: ")
        assert readme.filled(text) == text, "run python -m benchmarks.report.readme"
    assert marks >= 4
    old = "a\n<!-- figures: dial -->\n| old |\n<!-- end of figures -->\n| b |\n"
    new = readme.filled(old)
    assert "| old |" not in new
    assert new.startswith("a\n<!-- figures: dial -->\n| quality")
    assert new.endswith("<!-- end of figures -->\n| b |\n")


@pytest.mark.parametrize("name", ["jpeg", "jpeg2000", "webp", "avif", "avif-psnr", "jxl"])
def test_other_codecs_do_as_well_as_in_an_independent_measurement(
    bench: Callable[[str], ModuleType], name: str
) -> None:
    folder = ROOT / "benchmarks"
    elsewhere = json.loads((folder / "published_kodak.json").read_text(encoding="utf-8"))["measured"][name]
    pairs = zip(elsewhere["bpp"], elsewhere["psnr"], strict=True)
    ours = bench("report.results").load(folder / "results" / "kodak.json").curve(name)
    assert abs(bd_rate([RatePoint(*pair) for pair in pairs], ours).percent) < 3


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
