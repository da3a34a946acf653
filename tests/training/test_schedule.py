"""What changes along a run: learning rate, integer grids, crops, states; and what a single step may do."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from tests.tiny import TINY, pictures, settings
from tests.training.runs import log_of, vectors
from vqcodec.model.codebook import SLOPE, greedy_slope
from vqcodec.model.dial import LEVEL_KNOTS
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops
from vqcodec.training.learning_rates import parameter_groups, rate_factor
from vqcodec.training.state import FILE, read_metadata
from vqcodec.training.trainer import Trainer

STEPS = 20


@dataclass
class Watched:
    """What a run of 20 steps did at each of them."""

    out: Path
    exact: list[bool] = field(default_factory=list)
    shapes: list[tuple[int, int]] = field(default_factory=list)
    rates: list[dict[float, float]] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)


def without_learning(trainer: Trainer) -> None:
    """Leave the start and the gradients out: steps are quick and change no weights."""
    trainer.started = True

    @torch.no_grad()
    def gradients(x, level):
        return trainer.model(x, level), torch.tensor(1.0)

    trainer._gradients = gradients  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def watched(folder, tmp_path_factory):
    """A run of 20 short steps with a state after each."""
    result = Watched(tmp_path_factory.mktemp("watched"))
    sizes = {"batch": 4, "crop": 32, "late_crop": 64, "revive_every": 0, "log_every": 1, "save_minutes": 0.0}
    trainer = Trainer(settings(data=str(folder), out=str(result.out), steps=STEPS, exact_from=0.6, **sizes))
    without_learning(trainer)
    step, save = trainer.train_step, trainer.save

    def watched_step(x, level, count):
        result.exact.append(trainer.model.exact)
        result.shapes.append((x.shape[0], x.shape[2]))
        result.rates.append({group["factor"]: group["lr"] for group in trainer.optimizer.param_groups})
        return step(x, level, count)

    def watched_save():
        save()
        result.saved.append(json.loads(read_metadata(result.out / FILE)["progress"])["step"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "train_step", watched_step)
        patch.setattr(trainer, "save", watched_save)
        trainer.run()
    return result


def test_the_last_steps_are_on_integer_grids(watched):
    assert watched.exact == [False] * 12 + [True] * 8


def test_the_last_tenth_has_late_crops_of_as_many_pixels(watched):
    assert watched.shapes == [(4, 32)] * 18 + [(1, 64)] * 2


def test_the_rate_rises_over_the_warm_up_and_falls_like_a_cosine(watched):
    wanted = [
        5e-4 * min(1, (step + 1) / 5) * (0.495 * (1 + math.cos(math.pi * step / STEPS)) + 0.01)
        for step in range(STEPS)
    ]
    assert [entry["rate"] for entry in log_of(watched.out)] == pytest.approx(wanted)
    for rates, rate in zip(watched.rates, wanted, strict=True):
        assert set(rates) == {0.3, 1.0, 4.0, 10.0, 40.0}
        for factor, used in rates.items():
            assert used == pytest.approx(rate * factor)


def test_states_are_saved_on_the_way_and_at_the_end(watched):
    assert watched.saved == [*range(1, STEPS + 1), STEPS]


def test_five_minutes_pass_between_states(folder, tmp_path, monkeypatch):
    trainer = Trainer(settings(data=str(folder), out=str(tmp_path), steps=2, crop=32, late_crop=32, batch=1))
    without_learning(trainer)
    saved = []
    monkeypatch.setattr(trainer, "save", lambda: saved.append(trainer.step))
    trainer.run()
    assert saved == [2]


# -- one step ----------------------------------------------------------------------------------
@pytest.fixture
def gradient_of_norm(monkeypatch):
    """A trainer whose next step has gradients of a given norm, in place of those of a batch."""
    trainer = Trainer(settings())

    def step(norm: float) -> None:
        count = sum(p.numel() for p in trainer.model.parameters())

        def gradients(_x, _level):
            for parameter in trainer.model.parameters():
                parameter.grad = torch.full_like(parameter, norm / math.sqrt(count))
            return None, torch.tensor(1.0)

        monkeypatch.setattr(trainer, "_gradients", gradients)
        trainer.train_step(torch.empty(0), torch.empty(0))

    return trainer, step


def norm_of_gradients(trainer: Trainer) -> float:
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    return math.sqrt(sum(float(g.square().sum()) for g in gradients))


def test_gradients_are_clipped_to_twice_their_running_norm(gradient_of_norm):
    trainer, step = gradient_of_norm
    step(3.0)
    assert trainer.gradient_norm == pytest.approx(3, rel=1e-3)
    step(300.0)
    assert norm_of_gradients(trainer) == pytest.approx(6, rel=1e-3)
    assert trainer.gradient_norm == pytest.approx(0.98 * 3 + 0.02 * 6, rel=1e-3)
    step(1.0)
    assert norm_of_gradients(trainer) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_no_step(gradient_of_norm, norm):
    trainer, step = gradient_of_norm
    trainer._set_rate(0.0)
    step(3.0)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    step(norm)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    assert trainer.gradient_norm == pytest.approx(3, rel=1e-3)


def test_the_average_of_weights_moves_every_eighth_step_over_a_quarter_of_the_run(gradient_of_norm):
    trainer, step = gradient_of_norm
    trainer._set_rate(0.0)
    name = "g_a.shortcut"
    for count, share in ((8, 1.0), (64, 0.5), (8000, 8 / 1000)):
        trainer.step = count - 2
        before = trainer.ema[name].clone()
        step(1.0)
        assert torch.equal(trainer.ema[name], before)
        step(1.0)
        wanted = before.lerp(trainer.model.get_parameter(name).detach(), share)
        assert torch.allclose(trainer.ema[name], wanted, atol=1e-7)
        assert not torch.equal(trainer.ema[name], before)


# -- which parameters learn, and how fast ------------------------------------------------------
@pytest.mark.parametrize("alone", [True, False])
def test_a_decoder_is_trained_alone_on_the_latents_that_files_have(alone):
    trainer = Trainer(settings(decoder_only=alone))
    greedy = [greedy_slope(size) for size, _, _ in TINY.bands]
    assert list(vectors(trainer).slopes) == (greedy if alone else [SLOPE] * len(greedy))


def test_tables_are_trained_alone_and_each_tune_has_its_own():
    config = replace(TINY, tunes=2)
    trainer = Trainer(settings(tables_only=True, model=config, revive_every=0))
    crops = Crops(pictures(), seed=0, tunes=2)
    trainer.start(crops)
    trainer._set_rate(0.2)
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    for _ in range(2):
        x, _ = crops.batch(2, 64)
        trainer.train_step(x, torch.tensor([0.3, 0.7]))  # of the first tune
    changed = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
    assert {"log_gain", "g_a.blocks_wide.0.modulation.table", "prior.enter.0.level_bias"} <= changed
    for name in changed:
        value = trainer.model.get_parameter(name)
        assert len(value) == 2 * LEVEL_KNOTS
        assert torch.equal(value[LEVEL_KNOTS:], before[name][LEVEL_KNOTS:])


FACTORS = {
    "g_a.head.weight": 1,
    "g_a.blocks_wide.0.conv1.weight": 1,
    "g_a.blocks_wide.0.modulation.table": 4,
    "g_a.tail.weight": 0.3,
    "g_a.tail.bias": 1,
    "g_a.shortcut": 0.3,
    "g_s.shortcut": 0.3,
    "g_s.lapping": 0.3,
    "g_s.tail.weight": 0.3,
    "g_s.restoration.kernels": 10,
    "g_s.restoration.gates.weight": 10,
    "g_s.restoration.guide.weight": 1,
    "g_s.restoration.see.weight": 1,
    "g_s.restoration.draw.weight": 0.3,
    "h_a.squeeze.weight": 1,
    "prior.enter.0.weight": 1,
    "prior.enter.0.level_bias": 4,
    "prior.linear.2": 4,
    "quantizer.words.0": 40,
    "quantizer.bias.0": 40,
    "hyper_quantizer.table.0": 40,
}


def test_rate_factors_by_name():
    config = settings(fast=40.0, slow=0.3)
    names = {name for name, _ in VQVAE(TINY).named_parameters()}
    assert set(FACTORS) <= names
    assert {name: rate_factor(name, config) for name in FACTORS} == FACTORS
    other = settings(fast=7.0, slow=0.5)
    assert (rate_factor("quantizer.words.0", other), rate_factor("g_a.shortcut", other)) == (7.0, 0.5)


def test_the_optimiser_has_each_parameter_once_with_its_factor():
    model, config = VQVAE(TINY), settings()
    given = [(id(p), group["factor"]) for group in parameter_groups(model, config) for p in group["params"]]
    assert sorted(given) == sorted((id(p), rate_factor(n, config)) for n, p in model.named_parameters())
