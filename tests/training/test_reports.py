"""What a run reports of its batches: means by third of the dial."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vqcodec.model.dial import LAMBDA_MAX, LAMBDA_MIN
from vqcodec.training.reports import Averages


def output(bits_y: list[float], bits_z: list[float], mse: list[float]) -> Any:
    parts = {"bits_y": bits_y, "bits_z": bits_z, "mse": mse}
    return SimpleNamespace(**{name: torch.tensor(values) for name, values in parts.items()})


def test_means_are_of_the_samples_in_each_third_of_the_dial():
    averages = Averages()
    averages.add(torch.tensor([0.0, 1.0]), output([300.0, 5000.0], [100.0, 0.0], [1e-2, 1e-4]), pixels=1000)
    averages.add(torch.tensor([0.0]), output([700.0], [100.0], [3e-2]), pixels=1000)
    summary = averages.summary()
    assert set(summary) == {"low", "high"}
    assert summary["low"] == {
        "bpp": pytest.approx(0.6),
        "bpp_z": pytest.approx(0.1),
        "psnr": pytest.approx(16.99, abs=0.001),  # of the mean squared error, 0.02
        "cost": pytest.approx(LAMBDA_MIN * 65025 * 2e-2 + 0.6, abs=1e-4),
    }
    assert summary["high"]["cost"] == pytest.approx(LAMBDA_MAX * 65025 * 1e-4 + 5, abs=1e-4)
    averages.reset()
    assert averages.summary() == {}


def test_tunes_are_reported_apart():
    averages = Averages(tunes=2)
    averages.add(torch.tensor([0.1, 2.1]), output([100.0, 900.0], [0.0, 0.0], [1e-2, 1e-2]), pixels=1000)
    summary = averages.summary()
    assert {name: row["bpp"] for name, row in summary.items()} == {"low_eyes": 0.1, "low_psnr": 0.9}


def test_nothing_that_is_not_synthesised_has_a_psnr():
    averages = Averages()
    averages.add(torch.tensor([0.5]), output([300.0], [100.0], [0.0]), pixels=1000)
    assert averages.summary()["middle"]["psnr"] is None
