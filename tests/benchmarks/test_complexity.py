"""Size and work of the model, against formulas written out here and against a real export."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.complexity import BUDGET, FILE_BUDGET, main, measure
from tests import tiny
from vqcodec.model.config import ModelConfig
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops
from vqcodec.training.export import export
from vqcodec.weights.writing import save_weights

# Wider than the tiny model: of that the work per picture, not per pixel, would show.
TINY = replace(
    tiny.TINY,
    channels=32,
    bands=((1, 8, 16), (2, 24, 32)),
    slices=(1,),
    analysis=(16, 32, 1, 1),
    synthesis=(16, 32, 1, 1),
    context_channels=32,
    first_channels=16,
    prior_features=32,
    prior_width=32,
)


def test_the_default_model_is_within_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    parts = measure(ModelConfig())
    for name, limit in BUDGET.items():
        assert 0.1 * limit < parts[name].kmac <= limit, name
    assert main([]) == 0
    printed = capsys.readouterr().out
    decoder = re.search(r"^decoder +([\d.]+)$", printed, re.MULTILINE)
    assert decoder is not None
    assert float(decoder[1]) == pytest.approx(parts["g_s"].kmac + parts["prior"].kmac, abs=0.01)
    size = re.search(r"^weights file: ([\d,]+) bytes", printed, re.MULTILINE)
    assert size is not None
    assert 0.5 * FILE_BUDGET < int(size[1].replace(",", "")) <= FILE_BUDGET


@pytest.mark.parametrize("config", [ModelConfig(), TINY], ids=["default", "tiny"])
def test_counts_follow_the_formulas(config: ModelConfig) -> None:
    parts = measure(config)
    m, groups = config.channels, sum(c // d for d, c, _ in config.bands)
    shortcut = 768 * m
    for name, (wide, deep, blocks_wide, blocks_deep) in (("g_a", config.analysis), ("g_s", config.synthesis)):
        at_16 = shortcut + m * deep + 18 * deep**2 * blocks_deep + 4 * wide * deep
        at_8 = 9 * 192 * wide + 18 * wide**2 * blocks_wide
        # Lapping: 16 products per sample and direction, but for 8 samples at either end of 256.
        lapping = 2 * 3 * 16 * 240 / 256
        features, kernels = config.restoration if name == "g_s" else (0, 0)
        gates = (81 * features + 9 * features**2 + 12 * kernels * features) / 4
        guide = 16 * wide * features / 64 + (108 * features + 12 * features) / 4 if features else 0
        restoration = gates + guide + 324 * kernels + 18 * (features > 0)
        work = at_16 / 256 + at_8 / 64 + lapping + restoration
        assert parts[name].kmac == pytest.approx(work / 1000, rel=1e-3)
    f, w, z = config.prior_features, config.prior_width, config.hyper_channels
    at_64 = 9 * z * 2 * f + 2 * f * 4 * f
    at_32 = 9 * f**2
    # What is done once per picture (the level's biases) shows in parts as small as these.
    assert parts["h_s"].kmac == pytest.approx((at_64 / 4096 + at_32 / 1024) / 1000, rel=5e-3)
    # Each of the first four passes has a quarter of the positions.
    first = 3 / 4 * config.first_channels
    enter = sum(9 * (seen + f) * w for seen in (first, *(p * config.context_channels for p in (1, 2, 3))))
    leave = 4 * (w * w + w * (m + groups * len(config.context_levels)))
    linear = 9 * min(m, 24) * (3 / 4 + 1 + 2 + 3)
    known = [sum(c for _, c, _ in config.bands[:start]) for start in config.slices]
    slices = 4 * sum((before + w) * config.slice_width + config.slice_width * w for before in known)
    total = enter + leave + linear + slices
    assert parts["passes"].kmac == pytest.approx(total / 1024 / 1000, rel=5e-3)
    assert parts["prior"].kmac == pytest.approx(parts["h_s"].kmac + parts["passes"].kmac)


def test_parameters_are_all_counted() -> None:
    model, parts = VQVAE(TINY), measure(TINY)
    counted = sum(parts[name].parameters for name in ("g_a", "g_s", "h_a", "prior", "search"))
    assert counted + model.log_gain.numel() == sum(p.numel() for p in model.parameters())


def test_the_size_is_that_of_a_real_weights_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = VQVAE(TINY)
    picture = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "tiny.safetensors"
    arrays = export(model, Crops([picture], seed=0), batches=1, side=64)
    save_weights(path, model.config, tiny.tiny_integers(model), arrays, {"name": "tiny"})
    assert main([str(path)]) == 0
    assert f"weights file: {path.stat().st_size:,} bytes" in capsys.readouterr().out


def test_the_perceptual_decoder_is_not_part_of_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "and the perceptual decoder: 3," in capsys.readouterr().out


def test_a_file_that_is_no_weights_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"nothing of the kind")
    assert main([str(path)]) == 2
    assert "broken.safetensors" in capsys.readouterr().err
