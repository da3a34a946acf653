"""Means, variances and covariance of two sets of feature maps, with a gradient that takes few passes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Moments(torch.autograd.Function):
    """See `moments`. What autograd would keep and go through is several times the maps, in float32."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(a, b)
        # Under autocast too: a covariance is a small difference of large numbers.
        x, y = a.float(), b.float()
        mean_a, mean_b = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
        x, y = x - mean_a, y - mean_b
        ctx.means = mean_a, mean_b
        spread = (x.square().mean((2, 3)), y.square().mean((2, 3)), (x * y).mean((2, 3)))
        return (mean_a[..., 0, 0], mean_b[..., 0, 0], *spread)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        (mean_a, mean_b), pixels = ctx.means, a.shape[2] * a.shape[3]
        of_mean_a, of_mean_b, of_a, of_b, of_both = (g[..., None, None] / pixels for g in gradients)

        def gradient(own: Tensor, other: Tensor, squared: Tensor, still: Tensor) -> Tensor:
            """2 squared own + of_both other + still, in the maps' type."""
            parts = (part.to(own.dtype) for part in (2 * squared, of_both, still))
            scale, shared, offset = parts
            return torch.addcmul(offset, own, scale).addcmul_(other, shared)

        needed = ctx.needs_input_grad
        still_a = of_mean_a - 2 * of_a * mean_a - of_both * mean_b
        still_b = of_mean_b - 2 * of_b * mean_b - of_both * mean_a
        return (
            gradient(a, b, of_a, still_a) if needed[0] else None,
            gradient(b, a, of_b, still_b) if needed[1] else None,
        )


def moments(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means of a and b, variances of a and b, and their covariance, over places.

    Args:
        a, b: (B, C, H, W) of one type.

    Returns:
        Five of (B, C), in float32.
    """
    first, second, spread_a, spread_b, both = _Moments.apply(a, b)
    return first, second, spread_a, spread_b, both
