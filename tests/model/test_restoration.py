"""The decoder's last stage: nothing at first, then smoother in flat places."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.tiny import SMALL, TINY, pictures
from vqcodec.model import restoration as restoration_module
from vqcodec.model.blocks import level_basis
from vqcodec.model.config import ModelConfig
from vqcodec.model.restoration import Restoration, start_kernels
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops
from vqcodec.training.grow import take_over

BASIS = level_basis(torch.tensor([0.4]))


def opened(restoration: Restoration, seed: int = 0) -> Restoration:
    """With gates and kernels at random."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in restoration.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return restoration


def noisy() -> tuple[torch.Tensor, torch.Tensor]:
    """A dark and a bright half, (1, 3, 64, 64) around 0, and the same with noise."""
    clean = torch.full((1, 3, 64, 64), -0.3)
    clean[..., 32:] = 0.3
    return clean, clean + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


def test_it_starts_as_the_identity():
    x = torch.randn(2, 3, 32, 48)
    assert torch.equal(Restoration(8, 6)(x, level_basis(torch.tensor([0.1, 0.9]))), x)


@pytest.mark.parametrize("count", [1, 6, 9])
def test_kernels_start_as_means(count):
    kernels = start_kernels(count)
    assert kernels.shape == (count, 5, 5)
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(count))
    assert len({tuple(k.flatten().tolist()) for k in kernels}) == count


def test_even_colours_stay_whatever_it_has_learned():
    restoration = opened(Restoration(8, 6))
    even = torch.tensor([0.1, -0.3, 0.45])[None, :, None, None].expand(1, 3, 16, 16)
    assert torch.allclose(restoration(even, BASIS), even, atol=1e-5)
    x = torch.randn(1, 3, 16, 16)
    assert not torch.allclose(restoration(x, BASIS), x, atol=0.1)


def test_it_learns_to_smooth_flat_places_and_to_leave_edges():
    torch.manual_seed(0)
    restoration = Restoration(8, 6)
    optimizer = torch.optim.Adam(restoration.parameters(), lr=0.02)
    clean, rough = noisy()
    for _ in range(60):
        optimizer.zero_grad()
        (restoration(rough, BASIS) - clean).square().mean().backward()
        optimizer.step()
    error, before = (restoration(rough, BASIS) - clean).detach().abs(), (rough - clean).abs()
    assert float(error[..., 4:28].mean()) < 0.5 * float(before[..., 4:28].mean())
    assert float(error[..., 30:34].max()) < 0.1  # a sixth of the step


def test_what_it_does_depends_on_the_level():
    restoration = opened(Restoration(8, 6))
    x = torch.randn(1, 3, 16, 16)
    low, high = (restoration(x, level_basis(torch.tensor([t]))) for t in (0.0, 1.0))
    assert not torch.allclose(low, high, atol=1e-3)


def guided(seed: int = 0) -> tuple[Restoration, torch.Tensor]:
    """A restoration with a guide, all at random, and a guide for 32x48 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return opened(Restoration(8, 6, guide=10), seed), torch.randn(1, 10, 4, 6, generator=generator)


def test_with_a_guide_it_starts_as_the_identity_too():
    x = torch.randn(1, 3, 32, 48)
    assert torch.equal(Restoration(8, 6, guide=10)(x, BASIS, guided()[1]), x)


def test_a_guide_moves_the_pixels_of_its_place():
    restoration, guide = guided()
    x = torch.randn(1, 3, 32, 48)
    other = guide.clone()
    other[0, 3, 2, 4] += 1
    moved = (restoration(x, BASIS, other) - restoration(x, BASIS, guide)).detach().abs().sum((0, 1))
    rows, columns = torch.nonzero(moved > 1e-5, as_tuple=True)
    # Its 8x8 pixels, and 2 more by the 3x3 convolution of cells.
    assert (int(rows.min()), int(rows.max())) == (14, 25)
    assert (int(columns.min()), int(columns.max())) == (30, 41)


def test_with_a_guide_it_also_draws_where_nothing_differs():
    """Filters that sum to zero leave an even place as it is; what is drawn there follows the guide."""
    restoration, guide = guided()
    even = torch.zeros(1, 3, 32, 48)
    assert float((restoration(even, BASIS, guide) - even).detach().std()) > 0.05


@pytest.mark.parametrize("guide", [0, 10])
def test_gradients_do_not_change_what_it_does(guide):
    """With gradients all kernels are done at once, without them one after the other."""
    restoration = opened(Restoration(8, 6, guide=guide))
    x, seen = 0.1 * torch.randn(2, 3, 32, 48), torch.randn(2, 10, 4, 6) if guide else None
    basis = level_basis(torch.tensor([0.1, 0.9]))
    with torch.no_grad():
        alone = restoration(x, basis, seen)
    assert torch.allclose(restoration(x, basis, seen), alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("guide", [0, 10])
@pytest.mark.parametrize("height", [72, 70])
def test_strips_are_what_the_whole_would_be(monkeypatch, guide, height):
    if guide and height % restoration_module.BLOCK:
        height += 2
    restoration = opened(Restoration(8, 6, guide=guide))
    x = 0.1 * torch.randn(2, 3, height, 48)
    seen = torch.randn(2, 10, height // 8, 6) if guide else None
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
    assert max(heights[1:]) <= 32 + 2 * restoration_module.BLOCK
    assert torch.allclose(strips, whole, rtol=1e-5, atol=1e-6)


def test_low_precision_is_for_gates_alone(monkeypatch):
    restoration, guide = guided()
    x = torch.rand(1, 3, 32, 48) - 0.5
    einsum, lowered = torch.einsum, []

    def watched(*arguments: object) -> torch.Tensor:
        lowered.append(torch.is_autocast_enabled("cpu"))
        return einsum(*arguments)

    # Filters are made by products, which a card would lower the precision of; a CPU does not.
    monkeypatch.setattr(torch, "einsum", watched)
    full = restoration(x, BASIS, guide).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = restoration(x, BASIS, guide).detach()
    assert low.dtype == torch.float32
    change = (full - x).abs().mean()
    assert 0 < (low - full).abs().mean() < 0.02 * change
    assert lowered
    assert not any(lowered)


def test_older_models_have_none():
    assert ModelConfig.from_dict({"channels": 16}).restoration == (0, 0)
    assert not ModelConfig.from_dict({"restoration": [32, 6]}).guided
    assert VQVAE(SMALL).g_s.restoration is None
    assert VQVAE(TINY).g_s.restoration is not None


def test_an_older_model_is_taken_over_with_its_pictures():
    torch.manual_seed(0)
    older = VQVAE(dataclasses.replace(TINY, restoration=(0, 0)))
    model = VQVAE(TINY)
    afresh = take_over(model, older, Crops(pictures(), seed=0), 2, 64, 0.0)
    assert all(name.startswith("g_s.restoration.") for name in afresh)
    y, level = torch.randn(1, 16, 4, 5), torch.tensor([0.3])
    assert torch.allclose(model.synthesise(y, level), older.synthesise(y, level), atol=1e-6)
