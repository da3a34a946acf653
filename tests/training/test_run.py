"""A run of a tiny model on generated pictures: it learns, resumes, stops politely, fails loudly."""

from __future__ import annotations

import errno
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import TINY, pictures, settings
from tests.training.runs import log_of, mean_cost, vectors
from vqcodec.model.vqvae import VQVAE
from vqcodec.training import running, trained_model
from vqcodec.training.data import Crops, load_images
from vqcodec.training.state import config_of_state, read_metadata
from vqcodec.training.trainer import CollapseError, Trainer

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_learns_and_reports(trained):
    log = log_of(trained)
    assert [entry["step"] for entry in log] == [10, 20, 30, 40, 50, 60]
    assert mean_cost(log[-1]) < 0.9 * mean_cost(log[0])
    last = log[-1]
    assert last["pictures"] == 5  # the folder's, without a broken and a narrow one
    assert set(last["levels"]) == {"low", "middle", "high"}
    groups = sum(channels // size for size, channels, _ in TINY.bands)
    for name in ("perplexity", "dead_words", "w_error"):
        assert len(last["codebooks"][name]) == groups
    assert max(last["codebooks"]["perplexity"]) > 1.5
    assert last["levels"]["low"]["bpp"] < last["levels"]["high"]["bpp"]
    assert last["levels"]["low"]["psnr"] < last["levels"]["high"]["psnr"]
    # At the last step before each report, after 5 steps of warm-up; a hundredth is left at the end.
    shares = [0.495 * (1 + math.cos(math.pi * (step - 1) / 60)) + 0.01 for step in range(10, 70, 10)]
    assert [entry["rate"] for entry in log] == pytest.approx([5e-4 * share for share in shares])


def test_the_state_is_whole(trained):
    assert [p.name for p in sorted(trained.iterdir())] == ["log.jsonl", "state.safetensors"]
    state = trained / "state.safetensors"
    tensors = load_file(state)
    names = [n for n, _ in VQVAE(TINY).named_parameters()]
    for kind in ("model", "ema", "optim.exp_avg", "optim.exp_avg_sq", "optim.step"):
        assert {n for n in names if f"{kind}.{n}" not in tensors} == set(), kind
    assert all(bool(torch.isfinite(t).all()) for t in tensors.values())
    assert json.loads(read_metadata(state)["progress"])["step"] == 60
    assert config_of_state(state)["model"] == TINY


def test_names_of_parameters_never_change():
    """States and weights files in the world hold these names."""
    names = [n for n, _ in VQVAE(TINY).named_parameters()]
    # Two slices after the first one, four phases, two layers of three and two parameters.
    assert len(names) == 129 + 2 * 4 * (3 + 2)
    for name in (
        "log_gain",
        "g_a.shortcut",
        "g_s.lapping",
        "g_a.blocks_wide.0.conv1.weight",
        "g_s.blocks_deep.0.modulation.table",
        "h_a.squeeze.weight",
        "quantizer.words.0",
        "hyper_quantizer.table.0",
        "prior.enter.0.level_bias",
        "prior.linear.2",
        "prior.look.7.level_bias",
        "prior.tell.0.weight",
    ):
        assert name in names


def test_resuming_changes_nothing(trained, folder, tmp_path):
    """A trainer that was saved and loaded makes the same next steps as the one that went on."""
    config = settings(data=str(folder), out=str(tmp_path), steps=60)
    first = Trainer(config)
    first.load(trained / "state.safetensors")
    assert first.step == 60
    assert first.seconds > 0
    assert first.gradient_norm > 0
    saved = load_file(trained / "state.safetensors")
    for name, parameter in first.model.named_parameters():
        assert torch.equal(parameter, saved[f"model.{name}"]), name
        assert torch.equal(first.ema[name], saved[f"ema.{name}"]), name
        for key, value in first.optimizer.state[parameter].items():
            assert torch.equal(value, saved[f"optim.{key}.{name}"]), (key, name)
    crops = Crops(pictures(), seed=9)
    batches = [crops.batch(4, 64) for _ in range(4)]
    first._set_rate(0.5)
    first.train_step(*batches[0])
    first.train_step(*batches[1])
    first.save()
    second = Trainer(config)
    second.load(tmp_path / "state.safetensors")
    assert (second.step, second.gradient_norm) == (62, first.gradient_norm)
    for name, parameter in first.model.named_parameters():
        twin = second.model.get_parameter(name)
        assert torch.equal(twin, parameter), name
        assert torch.equal(second.ema[name], first.ema[name]), name
        old, new = first.optimizer.state[parameter], second.optimizer.state[twin]
        assert set(new) == set(old)
        for key in old:
            assert torch.equal(new[key], old[key]), (key, name)
    second._set_rate(0.5)
    for batch in batches[2:]:
        _, loss = first.train_step(*batch)
        _, again = second.train_step(*batch)
        assert again == pytest.approx(loss, rel=1e-5)
    for name, parameter in first.model.named_parameters():
        assert torch.allclose(second.model.get_parameter(name), parameter, rtol=1e-4, atol=1e-6), name


def test_moments_keep_their_elements_after_loading(tmp_path):
    """The optimiser walks memory: saved moments must come back in the layout of channels-last weights."""
    config = settings(out=str(tmp_path), steps=10)
    first = Trainer(config)
    name = "g_a.blocks_deep.0.conv1.weight"

    def step(trainer, gradient):
        for parameter in trainer.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        weight = trainer.model.get_parameter(name)
        weight.grad = torch.empty_like(weight).copy_(gradient)
        trainer._set_rate(0.0)
        trainer.optimizer.step()
        return weight.detach().clone()

    shape = first.model.get_parameter(name).shape
    gradients = [torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    step(first, gradients[0])
    first.save()
    second = Trainer(config)
    second.load(tmp_path / "state.safetensors")
    assert torch.allclose(step(first, gradients[1]), step(second, gradients[1]), atol=1e-7)


def test_a_run_outlives_a_full_disk_but_says_so(folder, tmp_path, monkeypatch, capsys):
    trainer = Trainer(settings(data=str(folder), out=str(tmp_path), steps=3, log_every=1, save_minutes=0))
    trainer.started = True
    tried = []

    def full(*_):
        tried.append(trainer.step)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(running, "write_entry", full)
    monkeypatch.setattr(trained_model, "write_state", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.run()
    assert tried == [1, 1, 2, 2, 3, 3, 3]
    told = capsys.readouterr().err
    assert told.count("no state saved, the run goes on: ") == 3
    assert told.count("an entry is missing in the log: ") == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_a_polite_stop_saves(folder, tmp_path):
    script = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from tests.tiny import settings\n"
        "from vqcodec.training.trainer import Trainer\n"
        "Trainer(settings(data=sys.argv[2], out=sys.argv[3], steps=10**6, log_every=1, threads=1)).run()\n"
    )
    out = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", script, str(ROOT), str(folder), str(out)]) as process:
        try:
            until = time.monotonic() + 120
            while not (out / "log.jsonl").exists() and time.monotonic() < until and process.poll() is None:
                time.sleep(0.05)
            assert process.poll() is None
            assert not (out / "state.safetensors").exists()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    saved = json.loads(read_metadata(out / "state.safetensors")["progress"])["step"]
    assert saved == log_of(out)[-1]["step"] >= 1


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_what_a_run_changes_in_its_process_ends_with_it(folder, tmp_path, monkeypatch):
    """What follows a run, as an export, can be interrupted again; denormal numbers are numbers again."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    config = settings(data=str(folder), out=str(tmp_path), crop=32, late_crop=32, batch=1)
    tiny = math.ldexp(1.0, -1070)
    for number in (signal.SIGTERM, signal.SIGINT):
        trainer = Trainer(config)
        trainer.started = True

        def train_step(_x, _t, _count, trainer=trainer, number=number):
            trainer.step += 1
            signal.raise_signal(number)
            zero = torch.zeros(1)
            assert tiny * 1.0 == 0.0, "a run treats denormal numbers as 0"
            return SimpleNamespace(bits_y=zero, bits_z=zero, mse=zero), 1.0

        monkeypatch.setattr(trainer, "train_step", train_step)
        trainer.run()
        assert trainer.step == 1
        assert tiny * 1.0 > 0.0, "and nothing after it does"
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
        assert (tmp_path / "state.safetensors").exists()

    trainer = Trainer(config)
    trainer.started = True
    monkeypatch.setattr(trainer, "train_step", lambda _x, _t, _count: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run()
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_budget_of_minutes_ends_the_run(folder, tmp_path):
    config = settings(data=str(folder), out=str(tmp_path), steps=None, minutes=0.01, log_every=1)
    trainer = Trainer(config)
    trainer.run()
    assert trainer.progress() == 1.0
    assert trainer.seconds >= 0.6
    assert trainer.step == len(log_of(tmp_path)) >= 1


def test_a_loss_that_is_not_finite_ends_the_run(trained, folder, tmp_path):
    trainer = Trainer(settings(data=str(folder), out=str(tmp_path), steps=200, revive_every=0))
    trainer.load(trained / "state.safetensors")
    with torch.no_grad():
        trainer.model.get_parameter("g_s.tail.bias").fill_(math.nan)
    before = trainer.model.get_parameter("g_a.shortcut").detach().clone()
    with pytest.raises(CollapseError, match="not been finite for 20 steps"):
        trainer.run()
    assert trainer.step == 80
    # No step was taken on such gradients, and no state written.
    assert torch.equal(trainer.model.get_parameter("g_a.shortcut"), before)
    assert not (tmp_path / "state.safetensors").exists()


def test_a_codebook_collapse_ends_the_run(trained, folder, tmp_path):
    out = tmp_path / "run"
    trainer = Trainer(settings(data=str(folder), out=str(out), steps=2000, log_every=1, revive_every=0))
    trainer.load(trained / "state.safetensors")
    trainer.step = 1000
    with torch.no_grad():
        for words, bias in zip(vectors(trainer).words, vectors(trainer).bias, strict=True):
            words[:, 1:] = 1e4
            bias[:, 1:] = -100
    with pytest.raises(CollapseError, match="single word"):
        trainer.run()


@pytest.mark.slow
def test_dead_words_come_back_to_life(folder, tmp_path):
    config = settings(data=str(folder), out=str(tmp_path), steps=20, revive_every=5, log_every=20)
    trainer = Trainer(config)
    trainer.start(Crops(load_images(folder, 96), seed=0))
    with torch.no_grad():
        vectors(trainer).words[2][:, 8:] = 500.0
    trainer.run()
    assert float(vectors(trainer).words[2].detach().abs().max()) < 400
