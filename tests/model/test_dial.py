"""The dial: quality and tune in one number, and its basis over the knots."""

from __future__ import annotations

import pytest
import torch

from vqcodec.model.dial import (
    LEVEL_KNOTS,
    at_quality,
    lambda_of_level,
    level_basis,
    quality_of,
    tune_of,
)
from vqcodec.types import lambda_at

T = torch.tensor([0.0, 0.3, 0.5, 1.0])


@pytest.mark.parametrize("tune", [0, 1])
def test_quality_and_tune_are_told_apart(tune):
    dial = T + 2 * tune
    assert tune_of(dial).tolist() == [tune] * 4
    assert torch.allclose(quality_of(dial), T, atol=1e-6)
    assert torch.allclose(lambda_of_level(dial), lambda_of_level(T), rtol=1e-5)
    assert lambda_of_level(dial).tolist() == pytest.approx([lambda_at(252 * float(t)) for t in T], rel=1e-5)
    assert torch.allclose(at_quality(dial, T**2), T**2 + 2 * tune)


@pytest.mark.parametrize("tune", [0, 1])
def test_each_tune_has_knots_of_its_own(tune):
    basis = level_basis(T + 2 * tune, 2).unflatten(1, (2, LEVEL_KNOTS))
    assert torch.allclose(basis[:, tune], level_basis(T), atol=1e-5)
    assert not basis[:, 1 - tune].any()


def test_levels_of_files_are_the_same_at_both_tunes():
    levels = torch.arange(253)
    for tune in (0, 1):
        dial = (levels / 252 + 2 * tune) * 252
        assert torch.equal(quality_of(dial.round() / 252).mul(252).round().long(), levels)
