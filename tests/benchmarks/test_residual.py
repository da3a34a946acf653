"""Two residual stages: they add up, the second refines the first, and they are trained."""

from __future__ import annotations

import pytest
import torch

from benchmarks.variants.residual import RATIO, ResidualQuantizer
from benchmarks.variants.train import ResidualTrainer
from tests.tiny import pictures, settings
from vqcodec.model.codebook import Band
from vqcodec.training.data import Crops

BANDS = (Band(1, 4, 64), Band(2, 8, 64))


@pytest.fixture
def started():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(BANDS, (6, 2))
    samples = [6 * torch.randn(band.groups, 2000, band.size) for band in BANDS]
    typical = quantizer.start(samples)
    assert typical.shape == (quantizer.groups,)
    return quantizer


def test_stages_add_up_and_the_second_refines(started):
    r = 6 * torch.randn(2, 12, 4, 6)
    context = torch.full((2, 2, started.groups, 4, 6), 1.5)
    contexts = started.arrange(context)
    result = started(r, contexts)
    coarse = started.first(r / RATIO, contexts)
    assert result.value.shape == r.shape
    assert (result.value - r).square().mean() < 0.2 * (RATIO * coarse.value - r).square().mean()
    fine = started.second(r - RATIO * coarse.value, contexts)
    assert torch.allclose(result.value, RATIO * coarse.value + fine.value, atol=1e-5)
    assert torch.allclose(result.rate, coarse.rate + fine.rate)
    assert len(result.index) == 2 * len(BANDS)


def test_gradients_reach_everything(started):
    r = (6 * torch.randn(1, 12, 2, 2)).requires_grad_()
    result = started(r, started.arrange(torch.full((1, 2, started.groups, 2, 2), 1.5)))
    (result.value.sum() + result.energy.sum()).backward()
    assert r.grad is not None
    assert torch.isfinite(r.grad).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in started.parameters())


def test_the_grid_is_that_of_both(started):
    started.grid = 0.25
    contexts = started.arrange(torch.full((1, 2, started.groups, 2, 2), 1.5))
    started(torch.randn(1, 12, 2, 2), contexts)
    assert (started.first.grid, started.second.grid) == (0.25, 0.25)
    for stage in (started.first, started.second):
        words = stage.codewords(1) / 0.25
        assert torch.equal(words, words.round())


@pytest.mark.slow
def test_training_lowers_the_cost():
    trainer = ResidualTrainer(settings(steps=40))
    crops = Crops(pictures(), seed=0)
    trainer.start(crops)
    losses = []
    for step in range(40):
        trainer._set_rate(step / 40)
        losses.append(trainer.train_step(*crops.batch(4, 64))[1])
    assert isinstance(trainer.model.quantizer, ResidualQuantizer)
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
