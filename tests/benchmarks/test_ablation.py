"""The ablation campaign: variants differ in what they say, and a campaign of tiny models runs and resumes."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.complexity import measure
from benchmarks.evaluate import evaluate
from benchmarks.variants import train as variants_train
from benchmarks.variants.train import KINDS
from tests.tiny import TINY, picture, random_prior_
from vqcodec.entropy.coding_order import PASSES
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.training import __main__ as command
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import Crops, find_images
from vqcodec.training.ranks import Ranks
from vqcodec.training.state import load_state

STEPS, HALF = 16, 8
SHARED = {
    "batch": 2,
    "crop": 64,
    "late_crop": 64,
    "log_every": 4,
    "device": "cpu",
    "bf16": False,
    "model": TINY.to_dict(),
}


@pytest.fixture
def ablation(bench: Callable[[str], ModuleType]) -> ModuleType:
    return bench("variants.ablation")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    for name, height, width in (("a.png", 64, 96), ("b.png", 96, 80)):
        Image.fromarray(picture(height, width, height)).save(path / name)
    return path


def flat(config: TrainConfig) -> dict[str, Any]:
    values = config.to_dict()
    return {f"model.{k}": v for k, v in values.pop("model").items()} | values


def train(config: TrainConfig, kind: str, steps: int) -> None:
    """Leave the state of a run that was stopped after some of its steps."""
    trainer = KINDS[kind](config)
    trainer.out.mkdir(parents=True)
    crops = Crops([np.asarray(Image.open(path)) for path in find_images(config.data)], seed=0)
    trainer.start(crops)
    for _ in range(steps):
        trainer._set_rate(trainer.progress())
        trainer.train_step(*crops.batch(config.batch, config.crop))
        trainer.seconds += 0.25
    trainer.save()


# -- variants ----------------------------------------------------------------------------------
@pytest.mark.slow
def test_variants_differ_from_the_default_in_what_they_say_and_construct(
    ablation: ModuleType, tmp_path: Path
) -> None:
    names = [variant.name for variant in ablation.VARIANTS]
    assert names[0] == "default"
    assert len(set(names)) == len(names)
    model = dataclasses.replace(ModelConfig(), **ablation.WHOLE)
    shared = TrainConfig(data="photos", steps=800, exact_from=ablation.NEVER, model=model)
    default = flat(shared)
    for variant in ablation.VARIANTS:
        config = ablation.variant_config(variant, shared, tmp_path)
        here = {k: v for k, v in flat(config).items() if v != default[k]}
        assert here.pop("out") == str(tmp_path / variant.name)
        said = {f"model.{k}": v for k, v in variant.model.items()} | dict(variant.settings)
        assert here == said, variant.name
        with torch.device("meta"):  # only the shapes matter
            KINDS[variant.kind].kind(config.model)


@pytest.mark.slow
def test_the_other_shapes_of_transforms_do_equal_work(ablation: ModuleType) -> None:
    parts = measure(ModelConfig())
    for variant in ablation.VARIANTS:
        if variant.name in ("deep", "shallow"):
            other = measure(dataclasses.replace(ModelConfig(), **variant.model))
            for name in ("g_a", "g_s"):
                assert other[name].kmac == pytest.approx(parts[name].kmac, rel=0.01), (variant.name, name)


def test_the_command_line_gives_the_settings_back(
    ablation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[TrainConfig, str]] = []

    class Recorder:
        def __init__(self, config: TrainConfig, _ranks: Ranks) -> None:
            given.append((config, type(self).__name__))

        def run(self, source: VQVAE | None) -> None:
            assert source is None

    for kind in KINDS:
        monkeypatch.setitem(KINDS, kind, type(kind, (Recorder,), {}))
    shared = TrainConfig(data="photos", steps=7, bf16=False, model=TINY)
    for variant in ablation.VARIANTS:
        changes = {k: v for k, v in variant.model.items() if k != "bands"}
        config = ablation.variant_config(dataclasses.replace(variant, model=changes), shared, tmp_path)
        words = ablation.training_command(config, variant.kind)
        assert words[:3] == [sys.executable, "-m", "benchmarks.variants.train"]
        variants_train.main(words[3:])
        assert given[-1] == (config, variant.kind)


@pytest.mark.parametrize("sizes", ['{"depth": 3}', "[1]", "{"])
def test_sizes_that_are_none_are_refused(
    sizes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["training", "--data", "photos", "--steps", "1", "--model", sizes])
    with pytest.raises(SystemExit):
        command.main()
    assert "--model" in capsys.readouterr().err


# -- campaign ----------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_campaign_runs_resumes_and_prints_its_figures(
    ablation: ModuleType, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "ablation.json"
    arguments = ["--data", str(folder), "--eval", str(folder), "--work", str(work), "--out", str(out)]
    arguments += ["--levels", "0", "1", "--settings", json.dumps(SHARED), "--variants", "two-pass"]
    shared = TrainConfig(
        **(SHARED | {"model": TINY}),  # type: ignore[arg-type]
        data=str(folder),
        steps=STEPS,
        exact_from=ablation.NEVER,
        threads=1,
    )
    by_name = {v.name: ablation.variant_config(v, shared, work) for v in ablation.VARIANTS}
    train(by_name["default"], "vector", STEPS)
    train(by_name["two-pass"], "two-pass", HALF)
    finished = work / "default" / "state.safetensors"
    before = finished.stat().st_mtime_ns

    assert ablation.main([*arguments, "--steps", str(STEPS)]) == 0
    assert finished.stat().st_mtime_ns == before
    log = [json.loads(line) for line in (work / "two-pass" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [12, 16]

    lines = [line for line in capsys.readouterr().out.splitlines() if "|" in line]
    rows = {row[0]: row for row in ([c.strip() for c in line.split("|")[1:-1]] for line in lines)}
    variants = json.loads(out.read_text())["variants"]
    assert list(variants) == ["default", "two-pass"]
    assert variants["two-pass"]["changes"] == {"kind": "two-pass"}
    base: list[float] = []
    for name, variant in variants.items():
        kind = KINDS["vector" if name == "default" else name].kind
        model, progress = load_state(work / name / "state.safetensors", kind=kind)
        assert model.config == by_name[name].model
        assert progress["step"] == STEPS
        costs = [evaluate(model, find_images(folder), level)["cost"] for level in (0.0, 1.0)]
        assert [p["cost"] for p in variant["points"]] == pytest.approx(costs, abs=1e-4)
        base = base or costs
        percent = [100 * (cost / first - 1) for cost, first in zip(costs, base, strict=True)]
        cells = [f"{cost:.4f} ({p:+.1f} %)" for cost, p in zip(costs, percent, strict=True)]
        assert rows[name][2:5] == [*cells, f"{sum(percent) / 2:+.1f} %"]
        parts = measure(model.config, kind)
        decoder = parts["prior"].kmac + parts["g_s"].kmac
        encoder = sum(parts[k].kmac for k in ("g_a", "h_a", "prior", "search"))
        seconds = float(str(progress["seconds"])) / STEPS
        parameters = sum(p.numel() for p in model.parameters())
        assert rows[name][5:8] == [f"{parameters:,}", f"{encoder:.1f}", f"{decoder:.1f}"]
        assert float(rows[name][8]) == pytest.approx(seconds, abs=1e-3)
    assert variants["default"]["points"] != variants["two-pass"]["points"]

    with pytest.raises(SystemExit, match="other settings"):
        ablation.main([*arguments, "--steps", str(STEPS + 1)])


# -- what the variants change ------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["vector", "two-pass"])
def test_with_two_context_passes_a_phase_does_not_see_the_other_one_of_its_pair(kind: str) -> None:
    torch.manual_seed(0)
    model = KINDS[kind].kind(TINY).eval()
    random_prior_(model, seed=1)
    for quantizer in (model.quantizer, model.hyper_quantizer):
        for words in quantizer.words:
            torch.nn.init.normal_(words, std=2)
    y = 4 * torch.randn(1, TINY.channels, 8, 8)
    level = torch.tensor([0.5])
    with torch.inference_mode():
        hyper = model.encode_hyper(y, model.prior_basis(level))
        model.encode_hyper = lambda *_: hyper  # type: ignore[method-assign]  # z sees all of y
        _, _, first = model.quantise(y, level)
        for phase, (row, column) in enumerate(((0, 0), (1, 1), (0, 1), (1, 0))):
            other = y.clone()
            other[:, :, row::2, column::2] += 5
            _, _, second = model.quantise(other, level)
            for place, before, after in zip(PASSES, first, second, strict=True):
                if place.phase > phase:
                    pairs = zip(before.residual, after.residual, strict=True)
                    alike = all(torch.equal(a, b) for a, b in pairs)
                    blind = kind == "two-pass" and (phase, place.phase) in ((0, 1), (2, 3))
                    assert alike == blind, (phase, place)


@pytest.mark.slow
def test_scalars_are_trained_in_every_slice_and_have_no_codewords(tmp_path: Path, folder: Path) -> None:
    values = SHARED | {"data": str(folder), "out": str(tmp_path / "run"), "steps": 16, "model": TINY}
    trainer = KINDS["scalar"](TrainConfig(**values))  # type: ignore[arg-type]
    trainer.run()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert "codebooks" not in log[0]
    means = [np.mean([third["cost"] for third in entry["levels"].values()]) for entry in (log[0], log[-1])]
    assert means[1] < means[0]
    assert trainer.model.quantizer.groups == TINY.channels
    assert not list(trainer.model.quantizer.parameters())
    model, _ = load_state(tmp_path / "run" / "state.safetensors", kind=KINDS["scalar"].kind)
    output = model(torch.rand(1, 3, 64, 64), torch.tensor([0.5]))
    assert all(float(result.rate) > 0 and not result.index for result in output.passes)
