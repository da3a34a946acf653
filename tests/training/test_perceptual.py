"""`python -m vqcodec.training.perceptual`: runs, states, and what a run can start from."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.tiny import pictures
from tests.training.players import Difference, batch, make_players, perceptual_config
from vqcodec import errors
from vqcodec.model.vqvae import VQVAE
from vqcodec.training.data import Crops, load_images
from vqcodec.training.perceptual import __main__ as perceptual
from vqcodec.training.perceptual.__main__ import run
from vqcodec.training.perceptual.players import FROZEN, Players
from vqcodec.training.perceptual.state import STATE, load, save, start_from
from vqcodec.training.state import read_metadata
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore, restore_realism
from vqcodec.weights.zoo import find_model


def photos(folder):
    for number, pixels in enumerate(pictures(2)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return str(folder)


@pytest.mark.slow
def test_a_run_logs_both_players_and_resumes_where_it_stopped(tmp_path, tiny_weights, monkeypatch):
    data = photos(tmp_path)
    whole = make_players(tiny_weights, data=data, out=str(tmp_path / "whole"), begin=0.3)
    run(whole)
    entries = [json.loads(t) for t in (tmp_path / "whole" / "perceptual.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries] == [2, 4, 6]
    assert "real" not in entries[0]
    fixed = {"psnr_loss", "error", "colour", "repeats", "lpips", "dists", "loss"}
    assert fixed | {"generator", "weight", "real", "fake", "discriminator"} <= entries[-1].keys()

    half = make_players(tiny_weights, data=data, out=str(tmp_path / "half"), begin=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(half, "progress", lambda: 1.0 if half.step >= 3 else half.step / 6)
        run(half)
    assert half.step == 3
    again = make_players(tiny_weights, data=data, out=str(tmp_path / "half"), begin=0.3)
    load(again)
    run(again)
    assert again.step == 6
    for name, parameter in whole.tuned.items():
        assert torch.allclose(parameter, again.tuned[name], atol=1e-6), name
    saved = load_file(tmp_path / "half" / STATE)
    assert all(torch.equal(saved[f"ema.{n}"], again.ema[n]) for n in again.ema)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_levels_are_uniform_numbers_to_the_power_of_level_power(tmp_path, tiny_weights, monkeypatch, power):
    group = make_players(tiny_weights, data=photos(tmp_path), out=str(tmp_path), steps=1, level_power=power)
    levels = []

    def train_step(_x, level, adversarial, count):
        levels.append(level)
        group.step += 1
        return {"adversarial": float(adversarial)}

    monkeypatch.setattr(group, "train_step", train_step)
    run(group)
    _, uniform = Crops(load_images(tmp_path, 64), seed=0).batch(2, 64)
    (level,) = levels
    assert torch.allclose(level, uniform**power)


def test_adversarial_losses_begin_with_their_share_of_the_run(tmp_path, tiny_weights, monkeypatch):
    group = make_players(tiny_weights, data=photos(tmp_path), out=str(tmp_path), steps=10, begin=0.3)
    begun = []

    def train_step(_x, _level, adversarial, count):
        begun.append(adversarial)
        group.step += 1
        return {}

    monkeypatch.setattr(group, "train_step", train_step)
    run(group)
    assert begun == [False] * 3 + [True] * 7


def test_states_are_saved_on_the_way(tmp_path, tiny_weights, monkeypatch):
    group = make_players(tiny_weights, data=photos(tmp_path), out=str(tmp_path), steps=3, save_minutes=0)
    saved = []
    monkeypatch.setattr(perceptual, "save", lambda group: saved.append(group.step))

    def train_step(_x, _level, adversarial, count):
        group.step += 1
        return {}

    monkeypatch.setattr(group, "train_step", train_step)
    run(group)
    assert saved == [1, 2, 3, 3]
    group.step, saved[:] = 0, []
    group.config = dataclasses.replace(group.config, save_minutes=5)
    run(group)
    assert saved == [3]


def test_a_run_can_go_on_with_another_models_decoder(tmp_path, tiny_weights, real_weights):
    going_on = make_players(tiny_weights)
    start_from(going_on, str(real_weights))
    tuned = restore_realism(load_weights(real_weights))
    for name, parameter in going_on.tuned.items():
        assert torch.equal(parameter, tuned[name]), name
        assert torch.equal(going_on.ema[name], tuned[name]), name

    with pytest.raises(errors.ModelNotFound, match="no perceptual decoder"):
        start_from(going_on, str(tiny_weights))
    with pytest.raises(errors.ModelNotFound, match="has no parameter like"):
        start_from(going_on, str(find_model("default")))


def test_a_decoder_for_other_latents_moves_as_the_fidelity_decoder_did(tmp_path, tiny_weights, real_weights):
    weights = load_weights(real_weights)
    model = restore(weights)
    with torch.no_grad():
        for parameter in model.g_s.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    now = {name: p.detach().clone() for name, p in model.g_s.named_parameters()}
    going_on = Players(perceptual_config(), model, (Difference(), Difference()))
    start_from(going_on, str(real_weights), moved=True)
    tuned, before = restore_realism(weights), restore(weights).g_s.state_dict()
    for name, moved in going_on.tuned.items():
        assert torch.allclose(moved - tuned[name], now[name] - before[name], atol=1e-6), name
        assert torch.equal(going_on.ema[name], moved), name

    save(make_players(tiny_weights, out=str(tmp_path)))
    with pytest.raises(errors.ModelNotFound, match="no g_s to compare with"):
        start_from(going_on, str(tmp_path / STATE), moved=True)


def test_a_run_can_go_on_with_the_decoder_and_discriminator_of_a_state(tmp_path, tiny_weights):
    first = make_players(tiny_weights, out=str(tmp_path))
    for _ in range(2):
        first.set_rates(0.1)
        first.train_step(*batch(), adversarial=True)
    save(first)
    going_on = make_players(tiny_weights)
    start_from(going_on, str(tmp_path / STATE))
    for name, parameter in going_on.tuned.items():
        assert torch.equal(parameter, first.ema[name]), name
    assert any(not torch.equal(p, first.tuned[n]) for n, p in going_on.tuned.items())
    mine, theirs = (p.discriminator.state_dict() for p in (going_on, first))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert going_on.step == 0

    (tmp_path / "none.safetensors").write_bytes(b"no weights")
    with pytest.raises(errors.ModelNotFound, match="none"):
        start_from(going_on, str(tmp_path / "none.safetensors"))


def test_blocks_that_the_tuned_decoder_lacks_add_nothing_at_first(tiny_weights, real_weights):
    torch.manual_seed(5)
    small = restore(load_weights(real_weights))
    wide, deep, blocks_wide, blocks_deep = small.config.synthesis
    grown = VQVAE(dataclasses.replace(small.config, synthesis=(wide, deep, blocks_wide + 1, blocks_deep)))
    group = Players(perceptual_config(), grown, (Difference(), Difference()))
    start_from(group, str(real_weights))
    tuned = restore_realism(load_weights(real_weights))
    small.g_s.load_state_dict(small.g_s.state_dict() | tuned)
    group.g_s.load_state_dict({n: t for n, t in small.g_s.state_dict().items() if n in FROZEN}, strict=False)
    y, level = torch.randn(1, small.config.channels, 3, 4), torch.tensor([0.4])
    with torch.no_grad():
        assert torch.allclose(group.g_s(y, level), small.g_s(y, level), atol=1e-5)
    assert float(group.tuned[f"blocks_wide.{blocks_wide}.conv1.weight"].detach().std()) > 0
    assert all(torch.equal(group.ema[n], p) for n, p in group.tuned.items())


def test_a_state_is_one_file_that_keeps_the_seconds(tmp_path, tiny_weights):
    first, second = (make_players(tiny_weights, out=str(tmp_path)) for _ in range(2))
    first.seconds = 1.5
    save(first)
    assert [p.name for p in tmp_path.iterdir()] == [STATE]
    load(second)
    assert second.seconds == 1.5


# -- the command -------------------------------------------------------------------------------
@pytest.fixture
def command(monkeypatch):
    """Runs `python -m vqcodec.training.perceptual` with these words; returns the exit status."""
    monkeypatch.setattr(perceptual, "LPIPS", lambda _network: Difference())
    monkeypatch.setattr(perceptual, "DISTS", Difference)

    def call(words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["perceptual", *words.split()])
        return perceptual.main()

    return call


@pytest.mark.slow
def test_the_command_trains_resumes_and_adds_the_averaged_decoder(tmp_path, tiny_weights, command, capsys):
    data, out, new = photos(tmp_path), tmp_path / "run", tmp_path / "new.safetensors"
    sizes = "--batch 1 --crop 64 --device cpu --no-bf16 --begin 0.5 --warmup 1 --learning-rate 0.02"
    model = f"--from {tiny_weights} --out {out}"
    assert command(f"{model} --data {data} --steps 1 {sizes} --add-to {new}") == 0
    first = load_file(out / STATE)
    bias = restore_realism(load_weights(new))["tail.bias"]
    assert torch.allclose(bias, first["ema.tail.bias"], atol=2e-4)
    assert not torch.allclose(bias, first["tuned.tail.bias"], atol=2e-4)
    assert command(f"{model} --resume --steps 2") == 0
    second = load_file(out / STATE)
    assert not torch.equal(second["ema.tail.weight"], first["ema.tail.weight"])
    assert "optim1.0.step" in second
    assert command(f"{model} --only-add --add-to {new}") == 0
    assert torch.allclose(restore_realism(load_weights(new))["tail.bias"], second["ema.tail.bias"], atol=2e-4)
    assert command(f"{model} --only-add --last --add-to {new}") == 0
    assert torch.allclose(
        restore_realism(load_weights(new))["tail.bias"], second["tuned.tail.bias"], atol=2e-4
    )
    assert not torch.allclose(second["tuned.tail.bias"], second["ema.tail.bias"], atol=2e-4)
    other = tmp_path / "other"
    words = f"{model} --data {data} --steps 1 {sizes} --learning-rate 0"
    other.mkdir()
    fewer = {name: tensor for name, tensor in second.items() if name != "ema.tail.bias"}
    save_file(fewer, other / STATE, read_metadata(out / STATE))
    assert command(f"--from {tiny_weights} --only-add --out {other} --add-to {new}") == 1
    assert "has no parameters like those of" in capsys.readouterr().err
    (other / STATE).unlink()
    assert command(f"{words} --tuned {out / STATE} --out {other}") == 0
    assert torch.equal(load_file(other / STATE)["tuned.tail.weight"], second["ema.tail.weight"])


def test_the_command_says_what_is_missing(tmp_path, tiny_weights, command, capsys):
    with pytest.raises(SystemExit):
        command(f"--from {tiny_weights} --data {tmp_path}")
    assert "--data and one of --minutes, --steps" in capsys.readouterr().err
    for words in (f"--from {tmp_path}/no.safetensors", f"--from {tiny_weights} --data {tmp_path} --steps 1"):
        assert command(f"{words} --out {tmp_path / 'run'}") == 1
        assert capsys.readouterr().err.startswith("perceptual: ")


def test_a_run_that_was_interrupted_adds_nothing(tmp_path, tiny_weights, command, capsys, monkeypatch):
    new, data, moved = tmp_path / "new.safetensors", tmp_path / "photos", tmp_path / "moved"
    data.mkdir()
    words = f"--from {tiny_weights} --data {photos(data)} --steps 4 --crop 64 --device cpu --no-bf16"

    def train_step(players, *_, **__):
        players.step += 1
        signal.raise_signal(signal.SIGTERM)
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(Players, "train_step", train_step)
        assert command(f"{words} --out {tmp_path / 'run'} --add-to {new}") == 0
    assert f"interrupted, {new} is not written; --resume goes on" in capsys.readouterr().err
    assert not new.exists()

    # Pictures that were moved since can be named.
    data.rename(moved)
    only = f"--from {tiny_weights} --only-add --out {tmp_path / 'run'} --add-to {new}"
    assert command(only) == 1
    assert "no pictures found" in capsys.readouterr().err
    assert command(f"{only} --data {moved}") == 0
    assert new.exists()


def test_a_state_cannot_be_added_to(tmp_path, tiny_weights, command, capsys):
    save(make_players(tiny_weights, out=str(tmp_path)))
    with pytest.raises(SystemExit):
        command(f"--from {tmp_path / STATE} --data x --steps 1 --add-to {tmp_path / 'new.safetensors'}")
    assert "is no weights file" in capsys.readouterr().err


def test_the_command_tells_of_mistakes_in_a_line(tmp_path, tiny_weights, command, capsys):
    start = f"--from {tiny_weights} --data {photos(tmp_path)} --steps 1 --crop 32 --device cpu --no-bf16"
    for words, told in (
        ("--network resnet", "--network is one of alexnet, vgg16, not resnet"),
        ("--patches 1", "--patches needs a --crop of 64 or more"),
    ):
        with pytest.raises(SystemExit):
            command(f"{start} {words}")
        assert capsys.readouterr().err.endswith(f"error: {told}\n")
    assert command(f"{start} --out {tmp_path / '0.png'}") == 1
    assert "perceptual: [Errno 20] Not a directory" in capsys.readouterr().err

    save(make_players(tiny_weights, out=str(tmp_path)))
    good = tmp_path / STATE
    meta, tensors = read_metadata(good), load_file(good)
    fewer = {name: tensor for name, tensor in tensors.items() if not name.startswith("ema.")}
    for name, path in (("cut", None), ("fewer", fewer), ("first", None)):
        (tmp_path / name).mkdir()
        if path is not None:
            save_file(path, tmp_path / name / STATE, meta)
    (tmp_path / "cut" / STATE).write_bytes(good.read_bytes()[:9999])
    save_file(tensors, tmp_path / "first" / STATE, meta | {"config": '{"model": {}}'})
    for folder, told in (
        ("nowhere", f"No such file or directory: {tmp_path / 'nowhere' / STATE}"),
        ("cut", f"{tmp_path / 'cut' / STATE} is no training state ("),
        ("first", f"{tmp_path / 'first' / STATE} is a state of the first stage"),
        ("fewer", f"{tmp_path / 'fewer' / STATE} does not fit {tiny_weights} ('ema."),
    ):
        assert command(f"{start} --resume --out {tmp_path / folder}") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("perceptual: "), line
        assert told in line
        if folder != "fewer":
            add = f"--add-to {tmp_path / 'new.safetensors'}"
            assert command(f"--from {tiny_weights} --only-add --out {tmp_path / folder} {add}") == 1
            assert told in capsys.readouterr().err
