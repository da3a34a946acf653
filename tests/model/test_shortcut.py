"""The filter across block boundaries: invertible, in place, and worth having."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqcodec.model.decoder import SynthesisTransform
from vqcodec.model.encoder import AnalysisTransform
from vqcodec.model.shortcut import dct_filters, lap, pre_filter

SIZES = (8, 8, 1, 1)


def transforms(channels: int) -> tuple[AnalysisTransform, SynthesisTransform]:
    return AnalysisTransform(channels, SIZES), SynthesisTransform(channels, SIZES, (4, 2))


def sample(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_filter_is_orthogonal_at_scaling_one():
    matrix = pre_filter(1.0)
    assert torch.allclose(matrix @ matrix.T, torch.eye(16, dtype=torch.float64), atol=1e-12)
    assert not torch.allclose(pre_filter() @ pre_filter().T, torch.eye(16, dtype=torch.float64), atol=1e-2)


def test_smooth_signals_pass():
    """A constant is no business of the filter: blocks that agree stay as they are."""
    ones = torch.ones(16, dtype=torch.float64)
    assert torch.allclose(pre_filter() @ ones, ones, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 16), (16, 48), (64, 32)])
def test_lapping_can_be_undone(size):
    x = sample(*size)
    lapped = lap(x, pre_filter())
    assert lapped.shape == x.shape
    assert torch.allclose(lap(lapped, torch.linalg.inv(pre_filter())), x, atol=1e-10)
    assert torch.equal(lapped[:, :, :8, :8], x[:, :, :8, :8])
    assert torch.equal(lapped, x) == (size == (16, 16))


def test_lapping_is_the_sum_that_the_format_tells():
    x, matrix = sample(48, 32), pre_filter()
    wanted = x.clone()
    for i in (1, 2):
        for a in range(16):
            row = sum(matrix[a, b] * x[:, :, 16 * i - 8 + b] for b in range(16))
            wanted[:, :, 16 * i - 8 + a] = torch.as_tensor(row)
    rows = wanted.clone()
    for a in range(16):
        column = sum(matrix[a, b] * rows[..., 8 + b] for b in range(16))
        wanted[..., 8 + a] = torch.as_tensor(column)
    assert torch.allclose(lap(x, matrix), wanted, atol=1e-12)


def test_all_channels_give_the_picture_back():
    """Only the shortcut, all of its 768 channels: synthesis undoes analysis."""
    torch.manual_seed(0)
    g_a, g_s = transforms(768)
    x = torch.rand(1, 3, 48, 64)
    with torch.no_grad():
        back = g_s.linear(g_a.linear(x)) + 0.5
    assert torch.allclose(back, x, atol=1e-4)


def test_overlap_saves_error_on_a_smooth_picture():
    """Of a slow wave, few coefficients of overlapping blocks tell more than as many of separate ones."""
    grid = torch.linspace(0, 6, 160)
    x = 0.5 + 0.3 * torch.sin(grid)[:, None] * torch.cos(grid * 0.7)[None]
    x = x.expand(1, 3, -1, -1)
    errors = []
    for lapped in (False, True):
        g_a, g_s = transforms(4)
        with torch.no_grad():
            if not lapped:
                g_a.lapping.copy_(torch.eye(16))
                g_s.lapping.copy_(torch.eye(16))
            errors.append(float((g_s.linear(g_a.linear(x)) + 0.5 - x).square().mean()))
    assert errors[1] < 0.7 * errors[0]


def test_filters_are_those_of_the_plain_transform():
    g_a, _ = transforms(12)
    assert torch.equal(g_a.shortcut, dct_filters(12)[0])
    assert np.allclose(g_a.lapping.detach().numpy(), pre_filter().numpy(), atol=1e-6)
