"""The error that searches look at: squares alone for "psnr", mixed with SSIMULACRA2's for "eyes"."""

from __future__ import annotations

import pytest
import torch

from vqcodec.compress.distortion import LEAST, POWER, SHARES, Distortion
from vqcodec.metrics.ssimulacra2 import weighted_error


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An original (1, 3, 48, 64) and two codings of it, the first one worse."""
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.rand(1, 3, 48, 64, generator=generator) for _ in range(2))
    return x, (x + 0.2 * (noise - 0.5)).clamp(0, 1), (x + 0.1 * (noise - 0.5)).clamp(0, 1)


def squares(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x - y).square().sum()


def test_squares_are_all_that_counts_for_psnr(pictures):
    x, *coded = pictures
    measure = Distortion("psnr")
    assert all(measure(x, y, squares(x, y)) == squares(x, y) for y in coded)


def test_the_first_coding_is_the_reference_for_eyes(pictures):
    x, first, second = pictures
    measure, share = Distortion("eyes"), SHARES["eyes"]
    before = float(squares(x, first))
    assert float(measure(x, first, squares(x, first))) == pytest.approx(before, rel=1e-5)
    ratio = float(weighted_error(x, second) / weighted_error(x, first))
    by_hand = share * float(squares(x, second)) + (1 - share) * before * ratio**POWER
    assert float(measure(x, second, squares(x, second))) == pytest.approx(by_hand, rel=1e-5)


def test_the_error_for_eyes_has_gradients_of_both_parts(pictures):
    x, first, second = pictures
    measure = Distortion("eyes")
    measure(x, first, squares(x, first))
    y = second.clone().requires_grad_()
    measure(x, y, squares(x, y)).backward()
    assert y.grad is not None
    assert float((y.grad - SHARES["eyes"] * 2 * (y.detach() - x)).abs().max()) > 1e-4


@pytest.mark.parametrize("side", [7, 48])
def test_what_is_too_small_or_without_error_has_squares_alone(side):
    x = torch.full((1, 3, side, 64), 0.5)
    y = x + LEAST / 1e4
    measure = Distortion("eyes")
    for _ in range(2):
        assert measure(x, y, squares(x, y)) == squares(x, y)
