"""The benchmarks that compare variants of the model, on tiny models trained for a few steps."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.evaluate import evaluate
from benchmarks.variants.train import KINDS
from tests.tiny import TINY, tiny_integers
from vqcodec.training import export
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import Crops, find_images, load_images
from vqcodec.training.state import load_state
from vqcodec.weights.writing import save_weights

STEPS = 16  # the EMA, which is what gets judged, follows every eighth step


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of smooth waves with noise, 96x64 and 80x96."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(11)
    for name, height, width in (("a.png", 64, 96), ("b.png", 96, 80)):
        rows, columns = np.mgrid[:height, :width]
        waves = np.stack([np.sin(rows / 9 + c) + np.cos(columns / (5 + c)) for c in range(3)], axis=2)
        noisy = 128 + 50 * waves + random.normal(0, 6, waves.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Finished states of both quantisers, as benchmarks.variants.quantizer leaves them."""
    folder = tmp_path_factory.mktemp("work")
    for quantizer in ("vector", "scalar"):
        config = TrainConfig(
            data=str(pictures),
            out=str(folder / quantizer),
            steps=STEPS,
            batch=2,
            crop=64,
            late_crop=64,
            exact_from=2.0,
            threads=1,
            device="cpu",
            bf16=False,
            model=TINY,
        )
        KINDS[quantizer](config).run()
    return folder


@pytest.fixture
def benchmark_module(bench: Callable[[str], ModuleType], request: pytest.FixtureRequest) -> ModuleType:
    return bench(request.param)


@pytest.mark.parametrize("benchmark_module", ["variants.quantizer"], indirect=True)
@pytest.mark.slow
def test_both_quantisers_are_judged_by_the_same_measure(
    benchmark_module: ModuleType,
    work: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "quantizer.json"
    command = ["--data", str(pictures), "--eval", str(pictures), "--work", str(work), "--out", str(out)]
    before = {path: path.stat().st_mtime_ns for path in work.rglob("state.safetensors")}
    assert benchmark_module.main([*command, "--steps", str(STEPS), "--levels", "0", "1"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in work.rglob("state.safetensors")}
    result: dict[str, Any] = json.loads(out.read_text())
    assert result["pictures"] == ["a.png", "b.png"]
    for name, variant in result["variants"].items():
        assert variant["steps"] == STEPS
        model, _ = load_state(work / name / "state.safetensors", kind=KINDS[name].kind)
        expected = evaluate(model, find_images(pictures), 1.0)
        assert variant["points"][1]["cost"] == pytest.approx(expected["cost"], abs=1e-4)
    books = result["variants"]["vector"]["codebooks"]
    assert [len(books[k]) for k in ("perplexity", "dead_words", "w_error")] == [4 + 2 + 2] * 3
    vector, scalar = (result["variants"][name]["points"][0]["cost"] for name in ("vector", "scalar"))
    assert f"{100 * (vector / scalar - 1):+.1f} %" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="other settings"):
        benchmark_module.main([*command, "--steps", str(STEPS + 1)])


@pytest.mark.parametrize("benchmark_module", ["variants.quantizer"], indirect=True)
@pytest.mark.slow
def test_a_run_that_was_stopped_is_not_judged(
    benchmark_module: ModuleType, work: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A polite stop saves and ends with status 0."""
    monkeypatch.setattr(benchmark_module, "progress_of_state", lambda path: {"step": STEPS - 1})
    monkeypatch.setattr(benchmark_module.subprocess, "run", lambda *words, **options: None)
    command = ["--data", str(pictures), "--eval", str(pictures), "--work", str(work)]
    with pytest.raises(SystemExit, match="stopped early"):
        benchmark_module.main([*command, "--out", str(tmp_path / "q.json"), "--steps", str(STEPS)])


@pytest.mark.parametrize("benchmark_module", ["integer_cost"], indirect=True)
def test_real_bytes_follow_the_grids_when_the_tables_are_the_model_s(
    benchmark_module: ModuleType,
    work: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, weights, out = (
        work / "vector" / "state.safetensors",
        tmp_path / "tiny.safetensors",
        tmp_path / "o.json",
    )
    model, _ = load_state(state)
    crops = Crops(load_images(pictures, 64), seed=0)
    arrays = export.export(model, crops, batches=1, side=64, pseudo=1e12)
    save_weights(weights, model.config, tiny_integers(model), arrays, {"name": "tiny"})
    command = [str(state), str(weights), "--eval", str(pictures), "--levels", "60", "252", "--out", str(out)]
    assert benchmark_module.main(command) == 0
    assert "real at equal MSE" in capsys.readouterr().out
    for point in json.loads(out.read_text())["points"]:
        for name, figures in point["images"].items():
            pixels = 96 * 64 if name == "a.png" else 80 * 96
            # A segment is whole words of 32 bits; codes of the tables are rounded to 1/15 nat.
            room = 2 * 64 / pixels + 0.01 * figures["grids"]["bpp"]
            assert figures["real"]["bpp"] == pytest.approx(figures["grids"]["bpp"], abs=room)
            assert figures["real"]["psnr"] == pytest.approx(figures["grids"]["psnr"], abs=0.1)
        # Another path, so another figure: were `grids` not switched on, it would be that of `float`.
        assert point["grids"]["bpp"] != point["float"]["bpp"]


@pytest.mark.parametrize("benchmark_module", ["integer_cost"], indirect=True)
def test_weights_of_another_state_are_refused(
    benchmark_module: ModuleType,
    work: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, weights = work / "vector" / "state.safetensors", tmp_path / "other.safetensors"
    other, _ = load_state(state)
    other.prior.middle[0].get_parameter("bias").data.add_(1.0)
    crops = Crops(load_images(pictures, 64), seed=0)
    arrays = export.export(other, crops, batches=1, side=64)
    save_weights(weights, other.config, tiny_integers(other), arrays, {"name": "other"})
    assert benchmark_module.main([str(state), str(weights), "--eval", str(pictures)]) == 1
    assert "was not exported from" in capsys.readouterr().err
