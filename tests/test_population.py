"""The Frechet loss: its gradient is the distance's, and following it closes the gap."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.judges import frechet
from vqcodec.training.population import Populations, patch_vectors, transport


def vectors(count: int = 400, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Decoded ones, cautious and a little off, and their originals (count, size)."""
    torch.manual_seed(0)
    real = torch.randn(count, size) @ torch.randn(size, size) + 1
    return 0.5 * real + 0.3 * torch.randn(count, size) + 0.2, real


def distance(fake: torch.Tensor, real: torch.Tensor) -> float:
    return frechet(fake.detach().numpy(), real.numpy())


def test_patches_are_means_of_64_pixels():
    features = torch.arange(2 * 3 * 8 * 12.0).reshape(2, 3, 8, 12)
    found = patch_vectors(features)
    assert found.shape == (2, 6, 3)
    assert torch.equal(found[1, 4], features[1, :, 4:8, 4:8].mean((1, 2)))


def test_the_transport_makes_one_population_the_other():
    fake, real = vectors()
    mean, target, matrix, share = transport(fake, real)
    moved = target + (fake - mean) @ matrix
    assert distance(fake, real) > 1
    assert distance(moved, real) < 1e-3 * distance(fake, real)
    assert share == pytest.approx(distance(fake, real) / float(real.var(0).sum()), rel=0.01)


def test_the_gradient_is_that_of_the_distance():
    """Against finite differences of the distance that `benchmarks.judges` measures."""
    fake, real = vectors()
    populations = Populations(parts=1, size=len(fake), enough=len(fake), every=1)
    place = torch.zeros(1)
    assert float(populations.loss(fake[None], real[None], place)) == 0  # nothing known yet
    leaf = fake.clone().requires_grad_()
    populations.loss(leaf[None], real[None], place).backward()
    assert leaf.grad is not None
    gradient = leaf.grad.numpy() * float(real.var(0).sum())
    generator = np.random.default_rng(1)
    for _ in range(4):
        step = generator.normal(size=fake.shape) * 1e-3
        ends = [frechet(fake.numpy() + sign * step, real.numpy()) for sign in (1, -1)]
        # Of |f - T(f)|^2 it is 2 (f - T(f)) / n.
        assert (ends[0] - ends[1]) / 2 == pytest.approx(float((gradient * step).sum()), rel=0.02)


def test_following_it_gives_back_the_variance():
    fake, real = vectors()
    scale = torch.nn.Linear(6, 6)
    with torch.no_grad():
        scale.weight.copy_(torch.eye(6))
        scale.bias.zero_()
    populations = Populations(parts=1, size=400, enough=100, every=5)
    optimizer = torch.optim.Adam(scale.parameters(), lr=0.01)
    start = distance(scale(fake), real)
    generator = torch.Generator().manual_seed(2)
    for _ in range(600):
        pick = torch.randint(len(fake), (40,), generator=generator)
        loss = populations.loss(scale(fake[pick])[None], real[pick][None], torch.zeros(1))
        if loss.requires_grad:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert distance(scale(fake), real) < 0.1 * start


def test_parts_of_the_dial_have_populations_of_their_own():
    fake, real = vectors()
    populations = Populations(parts=2, size=300, enough=200, every=1)
    both = torch.stack([fake[:200], real[200:]]), torch.stack([real[:200], real[200:]])
    populations.loss(*both, torch.tensor([0.1, 1.0]))
    assert populations.distances[0] > 0.1
    assert populations.distances[1] == pytest.approx(0, abs=1e-6)
    populations.loss(fake[None, 200:], real[None, 200:], torch.zeros(1))
    assert [len(kept[0]) for kept in populations.kept if kept is not None] == [300, 200]


def test_it_is_silent_until_a_part_is_known():
    fake, real = vectors()
    populations = Populations(parts=1, size=500, enough=401, every=1)
    for expected in (None, None, True):
        loss = populations.loss(fake[None].requires_grad_(), real[None], torch.zeros(1))
        assert (float(loss.detach()) > 0) is bool(expected)
