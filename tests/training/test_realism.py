"""The perceptual decoder: training moves g_s and nothing else, weights mix, and the bits stay as they are."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.tiny import load_codec, picture, pictures
from vqcodec import errors
from vqcodec.metrics.perceptual import Distance
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.perceptual import __main__ as perceptual
from vqcodec.training.perceptual.__main__ import load, progress_of, run, save, start_from, tuned_weights
from vqcodec.training.perceptual.discriminator import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    matching_loss,
)
from vqcodec.training.perceptual.patches import PatchLoss
from vqcodec.training.perceptual.pixel_errors import pixel_errors
from vqcodec.training.perceptual.players import FROZEN, PerceptualConfig, Players
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore
from vqcodec.weights.zoo import find_model
from vqcodec_cli.main import main


class Difference(Distance):
    """Stands for LPIPS and DISTS: mean absolute difference, and averages of 8 and 16 pixels as features."""

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, F.avg_pool2d(x, 8), F.avg_pool2d(x, 16)]

    def compare(self, first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
        return (first[0] - second[0]).abs().mean((1, 2, 3))


def config(**changes: object) -> PerceptualConfig:
    values = {"steps": 6, "batch": 2, "crop": 64, "warmup": 1, "log_every": 2, "device": "cpu", "bf16": False}
    return PerceptualConfig(**(values | changes))  # type: ignore[arg-type]


def players(weights, **changes) -> Players:
    return Players(config(**changes), restore(load_weights(weights)), (Difference(), Difference()))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.stack([torch.from_numpy(p[:64, :64].copy()).permute(2, 0, 1) for p in pictures(2)])
    return x.float() / 255, torch.tensor([0.2, 0.6])


# -- discriminator -----------------------------------------------------------------------------
def test_scores_are_local_and_depend_on_the_condition():
    torch.manual_seed(0)
    judge = Discriminator((8, 8, 8, 8)).eval()
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


def test_losses_of_the_game():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert float(discriminator_loss(real, fake)) == pytest.approx(0.25 + 0.5)
    assert float(generator_loss(fake)) == pytest.approx(1.5)
    a = [torch.ones(2, 3), torch.full((4,), 2.0)]
    assert float(matching_loss(a, a)) == 0
    assert float(matching_loss(a, [2 * a[0], a[1]])) == pytest.approx(0.5)


# -- training ----------------------------------------------------------------------------------
@pytest.mark.parametrize("adversarial", [False, True])
def test_only_the_decoder_and_its_judge_learn(tiny_weights, adversarial):
    group = players(tiny_weights)
    before = {n: p.clone() for n, p in group.model.state_dict().items()}
    linear = {n: p.clone() for n, p in group.g_s.named_parameters() if any(f in n for f in FROZEN)}
    start = {n: p.detach().clone() for n, p in group.tuned.items()}
    judge = [p.detach().clone() for p in group.discriminator.parameters()]
    group.set_rates(0.0)
    rates = [g["lr"] for o in group.optimizers for g in o.param_groups]
    assert rates == pytest.approx([1e-4, 3e-5, 2e-4])  # networks, last layer, judge
    group.set_rates(0.5)
    rates = [g["lr"] for o in group.optimizers for g in o.param_groups]
    assert rates == pytest.approx([5e-5, 1.5e-5, 2e-4])  # the judge keeps its own
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


def test_the_first_step_starts_at_the_fidelity_decoder(tiny_weights):
    """Nothing is clipped there, so the price in PSNR is nothing."""
    group = players(tiny_weights)
    assert abs(group.train_step(*batch(), False)["psnr_loss"]) < 0.2


def test_the_adaptive_weight_balances_gradients_at_the_last_layer(tiny_weights):
    group = players(tiny_weights, adversarial=0.5)
    picture = group.g_s.tail.weight * torch.tensor(3.0)
    fixed = torch.randn_like(picture)
    assert group._adaptive_weight(picture, fixed, 10 * fixed) == pytest.approx(0.05, rel=1e-3)


def test_the_gradient_is_that_of_the_whole_loss(tiny_weights):
    """The losses' gradients are taken at the picture, and led back from there once."""
    weights = {
        "error": 0.5,
        "colour": 0.3,
        "repeats": 4.0,
        "lpips": 2.0,
        "dists": 3.0,
        "patches": 0.7,
        "stretch": 1.2,
    }
    group, (x, level) = players(tiny_weights, **weights), batch()
    scaled, fidelity = group._latents(x, level)
    picture = group.g_s(scaled, level)
    errors, floor = (pixel_errors(p - x) for p in (picture, fidelity))
    ratios = errors.total / floor.total, errors.colour / floor.colour, errors.repeating / floor.total
    loss = sum(w * r.mean() for w, r in zip((0.5, 0.3, 4.0), ratios, strict=True))
    loss = loss + 5.0 * (x - picture).abs().mean((1, 2, 3)).mean()
    loss = loss + 0.7 * PatchLoss(1.2)(Difference().features(x), Difference().features(picture))
    wanted = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(group.tuned.values()))])
    assert group.train_step(x, level, False)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    taken = torch.cat([p.grad.flatten() for p in group.tuned.values() if p.grad is not None])
    assert torch.nn.functional.cosine_similarity(wanted, taken, dim=0) > 0.9999  # clipped, so only its way


def photos(folder):
    for number, pixels in enumerate(pictures(2)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return str(folder)


def test_a_run_logs_both_players_and_resumes_where_it_stopped(tmp_path, tiny_weights, monkeypatch):
    data = photos(tmp_path)
    whole = players(tiny_weights, data=data, out=str(tmp_path / "whole"), begin=0.3)
    run(whole)
    entries = [json.loads(t) for t in (tmp_path / "whole" / "perceptual.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries] == [2, 4, 6]
    assert "real" not in entries[0]
    assert {"real", "fake", "weight", "psnr_loss", "colour", "repeats", "lpips", "dists"} <= entries[
        -1
    ].keys()

    half = players(tiny_weights, data=data, out=str(tmp_path / "half"), begin=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(perceptual, "progress_of", lambda c, step, s: 1.0 if step >= 3 else step / 6)
        run(half)
    assert half.step == 3
    again = players(tiny_weights, data=data, out=str(tmp_path / "half"), begin=0.3)
    run(again, load(again, tmp_path / "half"))
    assert again.step == 6
    for name, parameter in whole.tuned.items():
        assert torch.allclose(parameter, again.tuned[name], atol=1e-6), name
    saved = tuned_weights(tmp_path / "half" / perceptual.STATE)
    assert all(torch.equal(saved[n], again.ema[n]) for n in again.ema)


def test_a_run_can_go_on_with_another_models_decoder(tmp_path, tiny_weights, real_weights):
    going_on = players(tiny_weights)
    start_from(going_on, str(real_weights))
    tuned = load_weights(real_weights).realism
    for name, parameter in going_on.tuned.items():
        assert torch.equal(parameter, tuned[name]), name
        assert torch.equal(going_on.ema[name], tuned[name]), name

    with pytest.raises(errors.ModelNotFound, match="no perceptual decoder"):
        start_from(going_on, str(tiny_weights))
    with pytest.raises(errors.ModelNotFound, match="has no parameter like"):
        start_from(going_on, str(find_model("default")))


def test_a_run_can_go_on_with_the_players_of_another_one(tmp_path, tiny_weights):
    first = players(tiny_weights)
    for _ in range(2):
        first.set_rates(0.1)
        first.train_step(*batch(), adversarial=True)
    save(first, 1.0, tmp_path)
    going_on = players(tiny_weights)
    start_from(going_on, str(tmp_path / perceptual.STATE))
    for name, parameter in going_on.tuned.items():
        assert torch.equal(parameter, first.ema[name]), name
    assert any(not torch.equal(p, first.tuned[n]) for n, p in going_on.tuned.items())
    mine, theirs = (p.discriminator.state_dict() for p in (going_on, first))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert going_on.step == 0

    (tmp_path / "none.safetensors").write_bytes(b"no weights")
    with pytest.raises(errors.ModelNotFound, match="none"):
        start_from(going_on, str(tmp_path / "none.safetensors"))


def test_what_the_decoder_grew_adds_nothing_to_the_tuned_one_at_first(tiny_weights, real_weights):
    """Further blocks, and a restoration that is guided now, have no part in a decoder tuned without them."""
    torch.manual_seed(5)
    small = restore(load_weights(real_weights))
    wide, deep, blocks_wide, blocks_deep = small.config.synthesis
    grown = VQVAE(dataclasses.replace(small.config, synthesis=(wide, deep, blocks_wide + 1, blocks_deep)))
    group = Players(config(), grown, (Difference(), Difference()))
    start_from(group, str(real_weights))
    tuned = load_weights(real_weights).realism
    small.g_s.load_state_dict(small.g_s.state_dict() | tuned)
    group.g_s.load_state_dict({n: t for n, t in small.g_s.state_dict().items() if n in FROZEN}, strict=False)
    y, level = torch.randn(1, small.config.channels, 3, 4), torch.tensor([0.4])
    with torch.no_grad():
        assert torch.allclose(group.g_s(y, level), small.g_s(y, level), atol=1e-5)
    assert float(group.tuned[f"blocks_wide.{blocks_wide}.conv1.weight"].detach().std()) > 0
    assert all(torch.equal(group.ema[n], p) for n, p in group.tuned.items())


def test_progress_is_the_larger_share():
    assert progress_of(config(steps=10), 5, 100.0) == 0.5
    assert progress_of(config(steps=None, minutes=1.0), 5, 30.0) == 0.5
    assert progress_of(config(steps=10, minutes=1.0), 1, 120.0) == 1.0


def test_states_are_written_whole(tmp_path, tiny_weights):
    save(players(tiny_weights), 1.5, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [perceptual.STATE]
    assert load(players(tiny_weights), tmp_path) == 1.5


# -- decoding ----------------------------------------------------------------------------------
def test_same_file_two_decoders(tiny_weights, real_weights, monkeypatch):
    """Identical indices, other pixels; at 0 the pixels of a model without a perceptual decoder."""
    plain, both = load_codec(tiny_weights), load_codec(real_weights)
    assert (both.bitstream_id, both.decoder_id) == (plain.bitstream_id, plain.decoder_id)
    assert (len(both.realism_id), plain.realism_id) == (16, "")
    data = plain.compress(picture(96, 80, seed=3), quality=40)
    assert both.compress(picture(96, 80, seed=3), quality=40) == data
    latents = []
    original = both.model.coder.decode

    def watch(*args):
        latents.append(original(*args))
        return latents[-1]

    monkeypatch.setattr(both.model.coder, "decode", watch)
    seen = [np.asarray(both.decompress(data, realism=r)).astype(int) for r in (0, 0.5, 1)]
    assert len(latents) == 3
    assert len(latents) == 3
    assert all(np.array_equal(latents[0], latent) for latent in latents[1:])
    assert np.array_equal(seen[0], np.asarray(plain.decompress(data)))
    far, near = (np.abs(seen[i] - seen[0]).mean() for i in (2, 1))
    assert far > near > 0


def test_the_mixture_is_of_weights(tiny_weights, real_weights):
    codec = load_codec(real_weights)
    tuned = load_weights(real_weights).realism
    mixed = dict(codec.decoder._blends.at(0.25).named_parameters())
    for name, parameter in codec.model.transforms.g_s.named_parameters():
        wanted = parameter.lerp(tuned[name], 0.25) if name in tuned else parameter
        assert torch.allclose(mixed[name], wanted), name
    assert codec.decoder._blends.at(0.25) is codec.decoder._blends.at(0.25)
    assert codec.decoder._blends.at(0.0) is codec.model.transforms.g_s


def test_bad_realism_is_refused(tiny_weights, real_weights):
    data = load_codec(tiny_weights).compress(picture(32, 32))
    with pytest.raises(errors.ModelNotFound, match="no perceptual decoder"):
        load_codec(tiny_weights).decompress(data, realism=0.5)
    for realism in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="realism must be from 0 to 1"):
            load_codec(real_weights).decompress(data, realism=realism)


def test_damaged_realism_is_noticed(tmp_path, real_weights):
    with safe_open(real_weights, framework="np") as file:
        tensors, notes = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata())  # noqa: SIM118
    name = next(n for n in tensors if n.startswith("realism."))
    tensors[name] = tensors[name] + np.float16(1)
    save_file(tensors, tmp_path / "bad.safetensors", metadata=notes)
    with pytest.raises(errors.ModelNotFound, match="fingerprints"):
        load_weights(tmp_path / "bad.safetensors")


def test_realism_on_the_command_line(tmp_path, tiny_weights, real_weights, capsys):
    Image.fromarray(picture(64, 64)).save(tmp_path / "x.png")
    file = str(tmp_path / "x.vqc")
    assert main(["compress", str(tmp_path / "x.png"), "-m", str(tiny_weights), "-o", file]) == 0
    for realism in ("0", "1"):
        words = ["decompress", file, "-m", str(real_weights), "--realism", realism]
        assert main([*words, "-o", str(tmp_path / f"{realism}.png")]) == 0
    zero, one = (np.asarray(Image.open(tmp_path / f"{r}.png")) for r in (0, 1))
    assert not np.array_equal(zero, one)
    capsys.readouterr()
    assert main(["decompress", file, "-m", str(tiny_weights), "--realism", "1", "-o", f"{file}.png"]) != 0
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["decompress", file, "-m", str(real_weights), "--realism", "2"]) == 2


def test_the_package_ships_both_decoders():
    path = find_model("default")
    assert path.stat().st_size < 32e6
    codec = load_codec(path)
    assert len(codec.realism_id) == 16
    pixels = picture(64, 96, seed=1)
    data = codec.compress(pixels, quality=20)
    zero, one = (np.asarray(codec.decompress(data, realism=r)).astype(float) for r in (0, 1))
    assert 0.5 < np.abs(zero - one).mean() < 20
    assert np.abs(one - pixels).mean() < 30
