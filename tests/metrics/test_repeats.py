"""How far errors repeat: 1 for noise, the number of cells for a pattern, window by window."""

from __future__ import annotations

import pytest
import torch

from vqcodec.metrics.repeats import PATTERNS, mesh, repeating_error


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pattern(side: int) -> torch.Tensor:
    """A cell (1, 3, side, side) whose colours are 0 on average."""
    cell = noise(1, 3, side, side)
    return cell - cell.mean((2, 3), keepdim=True)


def own(difference: torch.Tensor) -> float:
    return float(repeating_error(difference, difference))


def test_noise_is_1_whatever_its_strength():
    for strength in (0.1, 1.0):
        assert own(strength * noise(1, 3, 512, 768)) == pytest.approx(1, abs=0.03)


def test_a_pattern_counts_as_often_as_it_is_repeated():
    cells = [side**2 for _, side in PATTERNS]
    assert own(pattern(8).tile(1, 1, 64, 64)) == pytest.approx(sum(cells) / 3, rel=0.01)
    # Of cells of 16 pixels a quarter, the mean of four cells of 8, is left where the smaller are looked for.
    expected = (cells[0] + (cells[1] + cells[2]) / 4) / 3
    assert own(pattern(16).tile(1, 1, 32, 32)) == pytest.approx(expected, rel=0.15)


def test_it_is_relative_to_the_reference_in_the_same_window():
    """Half the strength is a quarter; a loud half does not hide the pattern of a quiet one."""
    woven, loud = pattern(8).tile(1, 1, 32, 32), 10 * noise(1, 3, 256, 256, seed=1)
    assert float(repeating_error(woven / 2, woven)) == pytest.approx(own(woven) / 4, rel=0.01)
    both = torch.cat([woven, loud], 3)
    assert own(both) > 0.4 * own(woven)


def test_it_is_found_window_by_window():
    """One pattern, and its negative in the other half: together they would cancel."""
    half = pattern(8).tile(1, 1, 16, 16)
    assert own(torch.cat([half, -half], 3)) > 0.6 * own(half)


def test_constant_errors_and_none_do_not_repeat():
    assert own(torch.full((1, 3, 128, 128), 0.3)) < 1e-6
    assert own(torch.zeros(1, 3, 64, 64)) == 0


def test_pictures_of_any_size_and_several_at_once():
    two = torch.cat([noise(1, 3, 37, 90), pattern(8).tile(1, 1, 5, 12)[..., :37, :90]])
    found = repeating_error(two, two)
    assert found.shape == (2,)
    assert float(found[1]) > 4 * float(found[0])
    assert torch.equal(found, repeating_error(two[..., :32, :80], two[..., :32, :80]))


def test_a_mesh_is_a_pattern_whatever_its_sign():
    """1 for noise, also where it is stronger here than there; what repeats with either sign is found."""
    strength = torch.linspace(0.01, 0.1, 256)
    for texture in (0.05 * noise(1, 3, 256, 256), strength * noise(1, 3, 256, 256)):
        assert float(mesh(texture)) == pytest.approx(1, abs=0.1)
    signs = noise(1, 1, 32, 32).sign().repeat_interleave(8, 2).repeat_interleave(8, 3)
    woven = 0.05 * pattern(8).tile(1, 1, 32, 32)
    assert own(signs * woven) < 3
    assert float(mesh(signs * woven)) == pytest.approx(float(mesh(woven)), rel=0.01)
    assert float(mesh(woven)) > 100


def test_a_little_mesh_counts_a_little():
    signs = noise(1, 1, 32, 32).sign().repeat_interleave(8, 2).repeat_interleave(8, 3)
    some = noise(1, 3, 256, 256, seed=4) + 0.5 * signs * pattern(8).tile(1, 1, 32, 32)
    assert 1.2 < float(mesh(0.05 * some)) < 10
    assert float(mesh(torch.zeros(1, 3, 64, 64))) == 0
