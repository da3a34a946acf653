"""What `evaluate` measures, of a model that stands for one whose picture and bits are known."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.evaluate import compare, evaluate
from tests.tiny import picture
from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.model.dial import LAMBDA_MAX, LAMBDA_MIN
from vqcodec.model.vqvae import VQVAE


def model_with_errors(change: float, bits: tuple[float, float] = (900.0, 100.0)) -> VQVAE:
    """Decodes a picture with every value `change` (of 255) off, and nothing right in the padding."""

    def forward(x: torch.Tensor, t: torch.Tensor) -> Any:
        decoded = torch.zeros_like(x)
        decoded[..., :20, :30] = x[..., :20, :30] + change / 255
        return SimpleNamespace(
            picture=decoded, bits_y=torch.tensor([bits[0]]), bits_z=torch.tensor([bits[1]])
        )

    return cast("VQVAE", forward)


@pytest.fixture
def path(tmp_path):
    """A picture of 20 x 30 pixels, no multiples of 16, of values that nothing clips."""
    Image.fromarray(picture(20, 30).clip(10, 240)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_psnr_is_that_of_rounded_values(path):
    """Errors below half a value of 255 are none; PSNR has a floor of 1e-9 for the mean squared error."""
    exact = evaluate(model_with_errors(0.4), [path], 0.5)
    assert exact["psnr"] == pytest.approx(10 * math.log10(255**2 / 1e-9))
    assert evaluate(model_with_errors(0.6), [path], 0.5)["psnr"] == pytest.approx(10 * math.log10(255**2))
    assert evaluate(model_with_errors(-2.3), [path], 0.5)["psnr"] == pytest.approx(
        10 * math.log10(255**2 / 4)
    )


def test_values_beyond_black_and_white_are_clipped(tmp_path):
    Image.fromarray(np.full((20, 30, 3), 255, np.uint8)).save(tmp_path / "white.png")
    result = evaluate(model_with_errors(9.0), [tmp_path / "white.png"], 0.5)
    assert result["psnr"] == pytest.approx(10 * math.log10(255**2 / 1e-9))


@pytest.mark.parametrize(("level", "weight"), [(0.0, LAMBDA_MIN), (1.0, LAMBDA_MAX)])
def test_rate_and_cost_are_per_pixel_of_the_picture_without_padding(path, level, weight):
    result = evaluate(model_with_errors(3.0), [path], level)
    assert result["level"] == level
    assert result["bpp"] == pytest.approx(1000 / 600)
    assert result["bpp_z"] == pytest.approx(100 / 600)
    assert result["cost"] == pytest.approx(weight * 9 + 1000 / 600, rel=1e-5)


def test_pictures_weigh_alike(path, tmp_path):
    Image.fromarray(np.full((20, 30, 3), 250, np.uint8)).save(tmp_path / "light.png")
    paths = [path, tmp_path / "light.png"]
    apart = [evaluate(model_with_errors(9.0), [p], 0.5)["psnr"] for p in paths]
    assert apart[0] < apart[1]
    assert evaluate(model_with_errors(9.0), paths, 0.5)["psnr"] == pytest.approx(sum(apart) / 2)


def test_changes_are_told_picture_by_picture(path, tmp_path):
    Image.fromarray(picture(40, 30, seed=1).clip(10, 240)).save(tmp_path / "y.png")
    new, old = model_with_errors(3.0, (450.0, 50.0)), model_with_errors(6.0)
    change = compare(new, old, [path, tmp_path / "y.png"], 0.0)
    assert change["level"] == 0
    assert change["bpp"] == pytest.approx(-50)
    ratios = []
    for name in ("x.png", "y.png"):
        with Image.open(tmp_path / name) as image:
            x = torch.from_numpy(np.array(image))
        pixels, errors, seen = x.shape[0] * x.shape[1], [], []
        for error in (3, 6):
            decoded = torch.zeros_like(x)
            decoded[:20] = x[:20] + error
            errors.append(float((decoded.float() - x.float()).square().mean()))
            pair = (v.permute(2, 0, 1)[None].float() / 255 for v in (x, decoded))
            seen.append(float(weighted_error(*pair)))
        before = LAMBDA_MIN * errors[1] + 1000 / pixels
        total = [LAMBDA_MIN * e + 500 / pixels for e in (errors[0], errors[1] * seen[0] / seen[1])]
        ratios.append([errors[0] / errors[1], seen[0] / seen[1], *(t / before for t in total)])
    expected = 100 * (np.exp(np.log(ratios).mean(0)) - 1)
    assert [change[k] for k in ("mse", "seen", "cost", "cost_seen")] == pytest.approx(
        list(expected), rel=1e-3
    )


def test_an_exact_picture_has_no_change_of_errors(path):
    change = compare(model_with_errors(0.0), model_with_errors(0.4), [path], 0.5)
    assert [change[name] for name in ("mse", "seen")] == [0, 0]
