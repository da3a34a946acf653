"""The dial of a model: quality t in [0, 1] and, where it has two tunes, which of them.

A model with two tunes (`vqcodec.types.TUNES`) shares all convolutions; what depends on the level has a table
for each. Both inputs travel as one number per picture, t + 2 * tune, so that a model with a single tune takes
t itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqcodec.types import LAMBDA_MAX as LAMBDA_MAX
from vqcodec.types import LAMBDA_MIN as LAMBDA_MIN

LEVEL_KNOTS = 9
"""Knots of the quality t in [0, 1]; everything that depends on it is linear between them."""
TUNE_STEP = 2.0
"""Distance of the tunes on the dial: an even number, so that rounding to levels is alike on both."""


def tune_of(dial: Tensor) -> Tensor:
    """Number of the tune (B,), 0 or 1, in the type of the dial."""
    return (dial > 1.5).to(dial.dtype)


def quality_of(dial: Tensor) -> Tensor:
    """t (B,) in [0, 1], without the tune."""
    return dial - TUNE_STEP * tune_of(dial)


def at_quality(dial: Tensor, t: Tensor) -> Tensor:
    """The dial (B,) moved to t (B,) at the same tune."""
    return t + TUNE_STEP * tune_of(dial)


def lambda_of_level(dial: Tensor) -> Tensor:
    """`vqcodec.types.lambda_at` of the dial (B,), at either tune."""
    return LAMBDA_MIN * torch.exp(quality_of(dial) * math.log(LAMBDA_MAX / LAMBDA_MIN))


def hat_basis(position: Tensor, knots: int) -> Tensor:
    """Linear-interpolation weights (..., knots) of `position` (...), clamped to [0, knots - 1].

    Each row has at most two non-zero weights, of the neighbouring knots, that sum to 1.
    """
    grid = torch.arange(knots, device=position.device, dtype=position.dtype)
    inside = position.clamp(0, knots - 1)
    return (1 - (inside.unsqueeze(-1) - grid).abs()).clamp_min(0)


def level_basis(dial: Tensor, tunes: int = 1) -> Tensor:
    """Basis (B, tunes * LEVEL_KNOTS) of the dial (B,): the knots of its tune, and zeros for the other."""
    t = dial if tunes == 1 else quality_of(dial).clamp(0, 1)
    position = t * (LEVEL_KNOTS - 1)
    if tunes > 1:
        position = position + LEVEL_KNOTS * tune_of(dial)
    return hat_basis(position, tunes * LEVEL_KNOTS)
