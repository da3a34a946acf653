"""The decoder's last stage: nothing at first, then smoother in flat places."""

from __future__ import annotations

import pytest
import torch

from vqcodec.model import restoration as restoration_module
from vqcodec.model.dial import level_basis
from vqcodec.model.restoration import Restoration, start_kernels

BASIS = level_basis(torch.tensor([0.4]))
CHANNELS = 10


def new() -> Restoration:
    """8 features, 6 kernels, a guide of 10 channels."""
    return Restoration(8, 6, CHANNELS)


def opened(seed: int = 0) -> Restoration:
    """With gates and kernels at random."""
    restoration, generator = new(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in restoration.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return restoration


def without_drawing(seed: int = 0) -> Restoration:
    """Opened, but nothing is added that is no filter of the picture."""
    restoration = opened(seed)
    with torch.no_grad():
        for parameter in restoration.draw.parameters():
            parameter.zero_()
    return restoration


def guide(height: int, width: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """A guide at random for so many pixels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, height // 8, width // 8, generator=generator)


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    """A dark and a bright half, (1, 3, 64, 64) around 0, and the same with noise."""
    clean = torch.full((1, 3, 64, 64), -0.3)
    clean[..., 32:] = 0.3
    return clean, clean + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


def test_it_starts_as_the_identity():
    x = torch.randn(2, 3, 32, 48)
    assert torch.equal(new()(x, level_basis(torch.tensor([0.1, 0.9])), guide(32, 48, 2)), x)


@pytest.mark.parametrize("count", [1, 6, 9])
def test_kernels_start_as_means(count):
    kernels = start_kernels(count)
    assert kernels.shape == (count, 5, 5)
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(count))
    assert len({tuple(k.flatten().tolist()) for k in kernels}) == count


def test_even_colours_stay_whatever_it_has_learned():
    restoration, seen = without_drawing(), guide(16, 16)
    even = torch.tensor([0.1, -0.3, 0.45])[None, :, None, None].expand(1, 3, 16, 16)
    assert torch.allclose(restoration(even, BASIS, seen), even, atol=1e-5)
    x = torch.randn(1, 3, 16, 16)
    assert not torch.allclose(restoration(x, BASIS, seen), x, atol=0.1)


def test_it_learns_to_smooth_flat_places_and_to_leave_edges():
    torch.manual_seed(0)
    restoration, seen = new(), torch.zeros(1, CHANNELS, 8, 8)
    for parameter in restoration.draw.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in restoration.parameters() if p.requires_grad], lr=0.02)
    clean, rough = noisy()
    for _ in range(60):
        optimizer.zero_grad()
        (restoration(rough, BASIS, seen) - clean).square().mean().backward()
        optimizer.step()
    error, before = (restoration(rough, BASIS, seen) - clean).detach().abs(), (rough - clean).abs()
    assert float(error[..., 4:28].mean()) < 0.5 * float(before[..., 4:28].mean())
    assert float(error[..., 30:34].max()) < 0.1  # a sixth of the step


def test_what_it_does_depends_on_the_level():
    restoration = opened()
    x = torch.randn(1, 3, 16, 16)
    low, high = (restoration(x, level_basis(torch.tensor([t])), guide(16, 16)) for t in (0.0, 1.0))
    assert not torch.allclose(low, high, atol=1e-3)


def test_a_guide_moves_the_pixels_of_its_place():
    restoration, seen = opened(), guide(32, 48)
    x = torch.randn(1, 3, 32, 48)
    other = seen.clone()
    other[0, 3, 2, 4] += 1
    moved = (restoration(x, BASIS, other) - restoration(x, BASIS, seen)).detach().abs().sum((0, 1))
    rows, columns = torch.nonzero(moved > 1e-5, as_tuple=True)
    # Its 8x8 pixels, and 2 more by the 3x3 convolution of cells.
    assert (int(rows.min()), int(rows.max())) == (14, 25)
    assert (int(columns.min()), int(columns.max())) == (30, 41)


def test_it_also_draws_where_nothing_differs():
    """Filters that sum to zero leave an even place as it is; what is drawn there follows the guide."""
    even = torch.zeros(1, 3, 32, 48)
    assert float((opened()(even, BASIS, guide(32, 48)) - even).detach().std()) > 0.05


def test_gradients_do_not_change_what_it_does():
    """With gradients all kernels are done at once, without them one after the other."""
    restoration = opened()
    x, seen = 0.1 * torch.randn(2, 3, 32, 48), guide(32, 48, 2)
    basis = level_basis(torch.tensor([0.1, 0.9]))
    with torch.no_grad():
        alone = restoration(x, basis, seen)
    assert torch.allclose(restoration(x, basis, seen), alone, rtol=1e-4, atol=1e-4)


def test_strips_are_what_the_whole_would_be(monkeypatch):
    restoration, height = opened(), 72
    x, seen = 0.1 * torch.randn(2, 3, height, 48), guide(height, 48, 2)
    basis = level_basis(torch.tensor([0.1, 0.9]))
    heights = []
    restored = restoration._restored

    def recorded(picture, *rest):
        heights.append(picture.shape[2])
        return restored(picture, *rest)

    monkeypatch.setattr(restoration, "_restored", recorded)
    with torch.no_grad():
        whole = restoration(x, basis, seen)
        monkeypatch.setattr(restoration_module, "STRIP", 32)
        strips = restoration(x, basis, seen)
    assert heights[0] == height
    assert len(heights) == 4
    assert max(heights[1:]) <= 32 + 2 * restoration_module.GUIDE_STRIDE
    assert torch.allclose(strips, whole, rtol=1e-5, atol=1e-6)


def test_low_precision_is_for_gates_alone(monkeypatch):
    restoration, seen = opened(), guide(32, 48)
    x = torch.rand(1, 3, 32, 48) - 0.5
    einsum, lowered = torch.einsum, []

    def watched(*arguments: object) -> torch.Tensor:
        lowered.append(torch.is_autocast_enabled("cpu"))
        return einsum(*arguments)

    # Filters are made by products, which a card would lower the precision of; a CPU does not.
    monkeypatch.setattr(torch, "einsum", watched)
    full = restoration(x, BASIS, seen).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = restoration(x, BASIS, seen).detach()
    assert low.dtype == torch.float32
    change = (full - x).abs().mean()
    assert 0 < (low - full).abs().mean() < 0.02 * change
    assert lowered
    assert not any(lowered)
