"""Errors by kind: all of them, those of colour, and those that are the same in block after block."""

from __future__ import annotations

import pytest
import torch

from vqcodec.model.blocks import opponent_colour
from vqcodec.training.perceptual.pixel_errors import WINDOW, pixel_errors


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_colour_is_what_both_differences_have():
    difference = noise(2, 3, 32, 48)
    by_colour = torch.einsum("kc,bchw->bkhw", opponent_colour(), difference)
    errors = pixel_errors(difference)
    assert torch.allclose(errors.total, difference.square().mean((1, 2, 3)))
    assert torch.allclose(errors.colour, by_colour[:, 1:].square().mean((1, 2, 3)), rtol=1e-4)
    grey = pixel_errors(noise(1, 1, 32, 32).expand(-1, 3, -1, -1))
    assert grey.total > 0.5
    assert grey.colour < 1e-10


@pytest.mark.parametrize("side", [2 * WINDOW, 2 * WINDOW - 2])
def test_a_pattern_of_every_block_repeats_wholly_and_noise_hardly(side):
    pattern = noise(1, 3, 16, 16)
    pattern = pattern - pattern.mean((2, 3), keepdim=True)
    woven = pixel_errors(pattern.tile(1, 1, side, side))
    assert torch.allclose(woven.repeating, woven.total, rtol=1e-4)
    finer = pixel_errors(pattern[..., :8, :8].tile(1, 1, 2 * side, 2 * side))
    assert float(finer.repeating / finer.total) > 0.9
    free = pixel_errors(noise(1, 3, 16 * side, 16 * side, seed=1))
    assert float(free.repeating * WINDOW**2 / free.total) == pytest.approx(1, abs=0.1)


def test_one_shade_of_error_is_no_pattern():
    assert pixel_errors(torch.full((1, 3, 128, 128), 0.3)).repeating < 1e-10


def test_a_pattern_of_one_window_counts_where_it_is():
    """Half the picture is woven with one pattern, half with its negative: together they would cancel."""
    pattern = noise(1, 3, 16, 16)
    pattern = pattern - pattern.mean((2, 3), keepdim=True)
    half = pattern.tile(1, 1, WINDOW, WINDOW)
    errors = pixel_errors(torch.cat([half, -half], 3))
    assert float(errors.repeating / errors.total) == pytest.approx(2 / 3, abs=1e-3)


def test_small_pictures_are_one_window():
    errors = pixel_errors(noise(2, 3, 32, 64))
    assert ((errors.repeating > 0) & (errors.repeating < errors.total)).all()
