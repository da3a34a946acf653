"""One step of the perceptual stage: what changes, and losses and gradients against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.training.players import Difference, batch, make_players
from vqcodec.metrics.repeats import mesh, repeating_error
from vqcodec.metrics.ssimulacra2 import weighted_error
from vqcodec.training.perceptual.discriminator import Discriminator
from vqcodec.training.perceptual.losses import (
    WEIGHT_MAX,
    feature_matching_loss,
    patch_loss,
    pixel_errors,
    wasserstein_loss,
)
from vqcodec.training.perceptual.players import FROZEN, Players


def test_scores_are_local_and_depend_on_the_condition():
    torch.manual_seed(0)
    judge = Discriminator().eval()
    x, f = torch.rand(2, 1, 3, 256, 64)
    scores, features = judge(x, f)
    assert scores.shape == (1, 1, 16, 4)
    assert [t.shape[2] for t in features] == [128, 64, 32, 16]
    changed = x.clone()
    changed[:, :, :16] = 0
    moved = (judge(changed, f)[0] - scores).abs()[0, 0, :, 0]
    assert moved[0] > 0
    assert (moved[8:] == 0).all()
    assert not torch.equal(judge(x, 1 - f)[0], scores)


def test_the_discriminator_sees_the_picture_and_its_difference_from_the_fidelity_decoders():
    judge = Discriminator().eval()
    seen: list[Tensor] = []
    judge.layers[0].register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    x, f = torch.rand(2, 1, 3, 32, 32)
    judge(x, f)
    assert torch.allclose(seen[0], torch.cat([2 * x - 1, 8 * (x - f)], 1))


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_step_changes_only_the_tuned_decoder_and_the_discriminator(tiny_weights, adversarial):
    group = make_players(tiny_weights)
    before = {n: p.clone() for n, p in group.model.state_dict().items()}
    linear = {n: p.clone() for n, p in group.g_s.named_parameters() if any(f in n for f in FROZEN)}
    start = {n: p.detach().clone() for n, p in group.tuned.items()}
    judge = [p.detach().clone() for p in group.discriminator.parameters()]
    group.set_rates(0.0)
    for _ in range(2):
        log = group.train_step(*batch(), adversarial)
    assert all(torch.equal(p, before[n]) for n, p in group.model.state_dict().items())
    assert all(torch.equal(dict(group.g_s.named_parameters())[n], p) for n, p in linear.items())
    assert linear
    assert any(not torch.equal(p, start[n]) for n, p in group.tuned.items())
    now = list(group.discriminator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(judge, now, strict=True)) != adversarial
    assert ({"weight", "real", "fake"} <= log.keys()) == adversarial
    assert all(math.isfinite(value) for value in log.values())


def test_the_discriminator_keeps_its_rate_and_the_decoder_anneals(tiny_weights):
    group = make_players(tiny_weights, warmup=4)

    def rates() -> list[float]:
        return [g["lr"] for o in group.optimizers for g in o.param_groups]

    group.set_rates(0.0)
    assert rates() == pytest.approx([0.25 * r for r in (1e-4, 3e-5, 2e-4)])  # networks, last layer, judge
    group.step = 4
    group.set_rates(0.5)
    assert rates() == pytest.approx([5e-5, 1.5e-5, 2e-4])
    group.set_rates(1.0)
    assert rates() == pytest.approx([0, 0, 2e-4])


def test_the_first_step_starts_at_the_fidelity_decoder(tiny_weights):
    """Only the fidelity decoder's picture is clamped, so its error is a little smaller."""
    log = make_players(tiny_weights).train_step(*batch(), False)
    assert 0 <= log["psnr_loss"] < 0.2
    assert log["error"] == pytest.approx(10 ** (log["psnr_loss"] / 10), abs=0.01)


def test_the_average_follows_the_tuned_decoder(tiny_weights):
    group = make_players(tiny_weights)
    wanted = {n: p.clone() for n, p in group.ema.items()}
    start = {n: p.clone() for n, p in group.ema.items()}
    group.set_rates(0.0)
    for step in (1, 2, 3):
        group.train_step(*batch(), adversarial=False)
        for name, parameter in group.tuned.items():
            wanted[name].lerp_(parameter.detach(), 4 / (step + 4))
    for name, average in group.ema.items():
        assert torch.allclose(average, wanted[name], atol=1e-7), name
    assert any(not torch.equal(average, start[n]) for n, average in group.ema.items())
    assert any(not torch.equal(average, group.tuned[n]) for n, average in group.ema.items())


def test_the_average_takes_a_five_hundredth_of_a_late_step(tiny_weights):
    group = make_players(tiny_weights)
    group.step = 10**6
    start = {n: p.clone() for n, p in group.ema.items()}
    group.set_rates(0.0)
    group.train_step(*batch(), adversarial=False)
    for name, parameter in group.tuned.items():
        assert torch.allclose(group.ema[name], start[name].lerp(parameter.detach(), 0.002), atol=1e-7), name


WEIGHTS = {
    "error": 0.5,
    "colour": 0.3,
    "repeats": 0.05,
    "mesh": 0.2,
    "ssimulacra2": 0.6,
    "lpips": 2.0,
    "dists": 3.0,
    "patches": 0.7,
    "stretch": 1.2,
    "wasserstein": 0.4,
}


def fixed_loss(x: Tensor, picture: Tensor, fidelity: Tensor) -> Tensor:
    """The decoder's loss without discriminator at `WEIGHTS`, written out."""
    errors, reference = (pixel_errors(p - x) for p in (picture, fidelity))
    loss = 0.5 * (errors.total / reference.total).mean() + 0.3 * (errors.colour / reference.colour).mean()
    loss = loss + 0.05 * repeating_error(picture - x, fidelity - x).mean()
    loss = loss + 0.2 * mesh(picture - fidelity).mean()
    loss = loss + 0.6 * (weighted_error(x, picture) / weighted_error(x, fidelity)).mean()
    loss = loss + (2.0 + 3.0) * (x - picture).abs().mean()
    features = Difference().features
    loss = loss + 0.7 * patch_loss(features(x), features(picture), [], stretch=1.2)
    return loss + 0.4 * wasserstein_loss(features(x), features(picture))


def flat_gradient(loss: Tensor, group: Players) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(group.tuned.values()))])


def gradient_taken(group: Players) -> Tensor:
    return torch.cat([p.grad.flatten() for p in group.tuned.values() if p.grad is not None])


def test_the_gradient_without_discriminator_is_that_of_the_weighted_losses(tiny_weights):
    group, (x, level) = make_players(tiny_weights, **WEIGHTS), batch()
    scaled, fidelity = group._latents(x, level)
    loss = fixed_loss(x, group.g_s(scaled, level), fidelity)
    wanted = flat_gradient(loss, group)
    log = group._gradients(x, level)
    assert float(log["loss"]) == pytest.approx(float(loss.detach()), rel=1e-4)
    assert torch.allclose(gradient_taken(group), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def adversarial_step(weights) -> tuple[Players, dict[str, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Players after the gradients of one adversarial step, its log, and x, x_hat and f."""
    group, (x, level) = make_players(weights, **WEIGHTS, matching=0.5, adversarial=0.8), batch()
    group.discriminator.eval()  # spectral norm iterates while training: scores would differ from call to call
    scaled, fidelity = group._latents(x, level)
    picture = group.g_s(scaled, level)
    group.adversarial = True
    return group, group._gradients(x, level), (x, picture, fidelity)


def test_the_adversarial_gradient_rewards_high_scores_and_matching_features(tiny_weights):
    """Fixed losses + w (-mean score + 0.5 feature matching), w from both gradients at the last layer."""
    group, log, (x, picture, fidelity) = adversarial_step(tiny_weights)
    scores, features = group.discriminator(picture, fidelity)
    matching = feature_matching_loss(group.discriminator(x, fidelity)[1], features)
    assert float(matching.detach()) > 0.01
    generator = -scores.mean() + 0.5 * matching
    assert float(log["generator"]) == pytest.approx(float(generator.detach()), rel=1e-4)
    fixed = fixed_loss(x, picture, fidelity)
    last = [
        torch.autograd.grad(v, group.g_s.tail.weight, retain_graph=True)[0].norm() for v in (fixed, generator)
    ]
    weight = 0.8 * last[0] / last[1]
    assert float(weight) < WEIGHT_MAX
    assert float(log["weight"]) == pytest.approx(float(weight), rel=1e-3)
    wanted = flat_gradient(fixed + weight * generator, group)
    assert torch.allclose(gradient_taken(group), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


@pytest.mark.slow
def test_the_discriminator_learns_high_scores_for_originals_and_low_ones_for_decoded_pictures(tiny_weights):
    """Hinge loss, its gradient, and the mean scores of the log, written out."""
    group, log, (x, picture, fidelity) = adversarial_step(tiny_weights)
    real, fake = (group.discriminator(p.detach(), fidelity)[0] for p in (x, picture))
    assert abs(float((real.mean() - fake.mean()).detach())) > 1e-3
    loss = (1 - real).clamp_min(0).mean() + (1 + fake).clamp_min(0).mean()
    for name, value in (("real", real.mean()), ("fake", fake.mean()), ("discriminator", loss)):
        assert float(log[name]) == pytest.approx(float(value.detach()), rel=1e-4), name
    parameters = list(group.discriminator.parameters())
    for parameter, wanted in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


@pytest.mark.slow
def test_steps_on_one_batch_lower_both_losses(tiny_weights):
    group = make_players(tiny_weights, learning_rate=1e-3)
    x, level = batch()
    group.set_rates(0.0)
    logs = [group.train_step(x, level, adversarial=True) for _ in range(6)]
    assert logs[-1]["loss"] < logs[0]["loss"]
    assert logs[-1]["discriminator"] < logs[0]["discriminator"]
    assert logs[-1]["real"] > logs[-1]["fake"]


def test_gradients_are_clipped_to_a_norm_of_one(tiny_weights):
    group = make_players(tiny_weights, error=1e3)
    group.train_step(*batch(), adversarial=False)
    assert float(gradient_taken(group).norm()) == pytest.approx(1, rel=1e-4)


def test_a_gradient_that_is_not_finite_changes_nothing(tiny_weights):
    group = make_players(tiny_weights)
    group.set_rates(0.0)
    before = {n: p.detach().clone() for n, p in group.tuned.items()}
    group.lpips = NotFinite()
    log = group.train_step(*batch(), adversarial=False)
    assert math.isnan(log["loss"])
    assert all(torch.equal(p, before[n]) for n, p in group.tuned.items())


class NotFinite(Difference):
    def compare(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        return math.nan * super().compare(first, second)
