"""Moments of feature maps, against numpy and against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vqcodec.metrics.moments import moments


def maps():
    torch.manual_seed(3)
    a = torch.randn(2, 3, 8, 6, dtype=torch.float32) + 5
    return a, 0.5 * a + torch.randn_like(a)


def test_moments_are_those_of_numpy():
    a, b = maps()
    found = moments(a, b)
    for picture in range(2):
        for channel in range(3):
            x, y = a[picture, channel].double().numpy(), b[picture, channel].double().numpy()
            covariance = np.cov(x.ravel(), y.ravel(), bias=True)
            wanted = [x.mean(), y.mean(), covariance[0, 0], covariance[1, 1], covariance[0, 1]]
            assert [float(v[picture, channel]) for v in found] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("both", [True, False])
def test_their_gradient_is_that_of_autograd(both):
    weights = torch.randn(5, 2, 3)

    def plain(a, b):
        first, second = a.mean((2, 3)), b.mean((2, 3))
        a, b = a - first[..., None, None], b - second[..., None, None]
        return first, second, a.square().mean((2, 3)), b.square().mean((2, 3)), (a * b).mean((2, 3))

    gradients = []
    for function in (moments, plain):
        a, b = maps()
        wanted = [a.requires_grad_(), b.requires_grad_()] if both else [b.requires_grad_()]
        total = sum((w * v).sum() for w, v in zip(weights, function(a, b), strict=True))
        gradients.append(torch.autograd.grad(total, wanted))
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-6)
