"""`python -m vqcodec.training`: what it starts from, its settings, and what it says."""

from __future__ import annotations

import argparse
import errno
import itertools
import json
import os
import sys
import time
from functools import partial

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.tiny import TINY, pictures, settings
from tests.training.runs import log_of
from vqcodec.errors import ModelNotFound
from vqcodec.files import TEMPORARY
from vqcodec.training import __main__ as command
from vqcodec.training import export, options, running
from vqcodec.training.config import TrainConfig
from vqcodec.training.export import export_state
from vqcodec.training.perceptual import __main__ as perceptual
from vqcodec.training.perceptual.state import STATE
from vqcodec.training.state import FILE, config_of_state, load_state, read_metadata
from vqcodec.training.trainer import CollapseError, Trainer


def test_the_command_resumes_with_the_stored_settings(trained, folder, tmp_path, monkeypatch):
    (tmp_path / "state.safetensors").write_bytes((trained / "state.safetensors").read_bytes())
    arguments = ["vqcodec.training", "--resume", "--out", str(tmp_path), "--steps", "63", "--log-every", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    assert [entry["step"] for entry in log_of(tmp_path)] == [61, 62, 63]
    settings_now = config_of_state(tmp_path / "state.safetensors")
    assert settings_now["model"] == TINY
    assert settings_now["crop"] == 64
    assert json.loads(read_metadata(tmp_path / "state.safetensors")["progress"])["step"] == 63


def test_the_command_says_that_there_is_nothing_to_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vqcodec.training", "--resume", "--out", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit):
        command.main()
    assert "nowhere/state.safetensors" in capsys.readouterr().err


def test_the_command_starts_from_other_weights(trained, folder, tmp_path, monkeypatch):
    state = trained / "state.safetensors"
    options = [
        "--steps",
        "2",
        "--batch",
        "2",
        "--crop",
        "64",
        "--late-crop",
        "64",
        "--no-bf16",
        "--device",
        "cpu",
    ]
    arguments = ["--from", str(state), "--data", str(folder), "--out", str(tmp_path / "new"), *options]
    monkeypatch.setattr(sys, "argv", ["vqcodec.training", *arguments, "--learning-rate", "0"])
    command.main()
    new, old = load_file(tmp_path / "new" / "state.safetensors"), load_file(state)
    assert torch.equal(new["model.g_a.shortcut"], old["ema.g_a.shortcut"])
    assert json.loads(read_metadata(tmp_path / "new" / "state.safetensors")["progress"])["step"] == 2


@pytest.mark.parametrize("slow", [torch.bfloat16, torch.float32])
def test_bfloat16_is_used_where_it_is_faster(monkeypatch, slow):
    """And only there, unless the settings say otherwise."""

    def conv2d(x, weight, padding):
        assert x.dtype == weight.dtype
        time.sleep(0.02 if x.dtype == slow else 0.001)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    assert Trainer(settings(bf16=None)).bf16 == (slow == torch.float32)
    assert not Trainer(settings(bf16=False)).bf16
    assert Trainer(settings(bf16=True)).bf16
    assert running.faster_in_bfloat16(torch.device("cuda"))


@pytest.mark.parametrize(("option", "value"), [([], None), (["--bf16"], True), (["--no-bf16"], False)])
def test_settings_that_may_be_left_to_the_machine(option, value):
    parser = argparse.ArgumentParser()
    options.add_options(parser, TrainConfig, FILE)
    assert parser.parse_args(option).bf16 is value


@pytest.mark.parametrize("arguments", [[], ["--data", "x"], ["--steps", "3"]])
def test_the_command_wants_data_and_a_budget(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["vqcodec.training", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 2
    assert "--data and one of" in capsys.readouterr().err


def test_the_command_says_what_it_cannot_start_from(tmp_path, monkeypatch, capsys):
    words = tmp_path / "words.safetensors"
    words.write_bytes(b"no tensors at all")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for path in (words, tmp_path / "other.safetensors"):
        monkeypatch.setattr(sys, "argv", ["x", "--from", str(path), "--data", "x", "--steps", "1"])
        with pytest.raises(SystemExit):
            command.main()
        assert f"{path}: neither a training state nor" in capsys.readouterr().err


def test_states_of_other_versions_are_told_in_a_line(tmp_path, monkeypatch, capsys):
    trainer = Trainer(settings(data=str(tmp_path), out=str(tmp_path)))
    trainer.save()
    state = tmp_path / "state.safetensors"
    tensors, meta = load_file(state), read_metadata(state)
    newer = meta | {"config": json.dumps(json.loads(meta["config"]) | {"brand_new": 1})}
    older = meta | {"progress": json.dumps({"step": 1, "seconds": 1.0})}
    fewer = {name: tensor for name, tensor in tensors.items() if not name.startswith("ema.g_s.")}
    for tensors_now, meta_now, words, told in (
        (tensors, newer, [], "--resume: the state is of another version ("),
        (tensors, older, [], "is of another model or version ('gradient_norm')"),
        (fewer, meta, [], "is of another model or version ('ema.g_s."),
        (tensors, meta, ["--model", '{"prior_width": 32}'], "is of another model or version (The size of"),
    ):
        save_file(tensors_now, state, meta_now)
        monkeypatch.setattr(sys, "argv", ["x", "--resume", "--out", str(tmp_path), *words])
        with pytest.raises(SystemExit) as caught:
            command.main()
        last = capsys.readouterr().err.splitlines()[-1]
        assert (caught.value.code, told in last) == (2, True), last
    other = meta | {"config": json.dumps(json.loads(meta["config"]) | {"model": {"prior_width": 32}})}
    save_file(tensors, state, other)
    with pytest.raises(ModelNotFound, match="not a training state: The size of"):
        load_state(state)


def test_mistakes_are_told_in_a_line(trained, tmp_path, monkeypatch, capsys):
    state, nowhere = str(trained / "state.safetensors"), str(tmp_path / "nowhere")
    small = ["--steps", "1", "--crop", "64", "--late-crop", "64", "--no-bf16", "--device", "cpu"]
    words = tmp_path / "words.safetensors"
    words.write_bytes(b"no tensors at all")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "state.safetensors").write_bytes(b"no tensors at all")
    monkeypatch.setenv("XDG_DATA_HOME", str(words))  # where nothing can be installed
    output = ["--data", nowhere, "-o", str(tmp_path / "x.safetensors")]
    for run, arguments, told in (
        (command.main, ["--from", state, "--data", nowhere, "--out", nowhere, *small], "no pictures found"),
        (command.main, ["--model", '{"x": 1}'], "unexpected keyword argument 'x'"),
        (command.main, ["--model", "[]"], "not a JSON object"),
        (command.main, ["--data", "x", *small, "--crop", "100"], "--crop is a multiple of 32, not 100"),
        (
            command.main,
            ["--data", "x", *small, "--late-crop", "70"],
            "--late-crop is a multiple of 32, not 70",
        ),
        (command.main, ["--data", "x", *small, "--cache", "-1"], "--cache is a number of GB"),
        (command.main, ["--data", "x", *small, "--cache", "nan"], "--cache is a number of GB"),
        (command.main, ["--data", "x", "--steps", "-3"], "--steps is 1 or more, not -3"),
        (command.main, ["--data", "x", "--minutes", "-1"], "--minutes is 0 or more, not -1.0"),
        (command.main, ["--data", "x", *small, "--batch", "0"], "--batch is 1 or more, not 0"),
        (command.main, ["--data", "x", *small, "--log-every", "0"], "--log-every is 1 or more, not 0"),
        (command.main, ["--data", "x", *small, "--seed", "-1"], "--seed is 0 or more, not -1"),
        (command.main, ["--data", "x", *small, "--threads", "-1"], "--threads is 0 or more, not -1"),
        (command.main, ["--data", "x", *small, "--learning-rate", "nan"], "--learning-rate is 0 or more"),
        (command.main, ["--data", "x", *small, "--mse-share", "2"], "--mse-share is from 0 to 1"),
        (command.main, ["--data", "x", *small, "--mse-share", "nan"], "--mse-share is from 0 to 1"),
        (perceptual.main, ["--data", "x", *small[:4], "--begin", "-1"], "--begin is from 0 to 1"),
        (command.main, ["--data", "x", *small[:-1], "gpu"], "device must be auto, cpu, cuda"),
        (command.main, ["--data", "x", *small, "--resume", "--out", str(bad)], "is no training state"),
        (command.main, ["--data", "x", *small, "--install", "new"], "--install: "),
        (perceptual.main, ["--only-add"], "--only-add needs --add-to"),
        (perceptual.main, ["--last"], "--last needs --add-to"),
        (perceptual.main, ["--data", "x", *small[:4], "--add-to", nowhere + "/x"], "--add-to: "),
        (command.main, ["--data", "x", *small, "--crop", "0"], "--crop is a multiple of 32, not 0"),
        (export.main, [nowhere, *output], f"{nowhere}: no such file"),
        (export.main, [str(words), *output], f"{words}: not a training state"),
        (export.main, [state, *output], f"{nowhere}: no pictures found"),
        (export.main, [state, "--data", "x", "-o", nowhere + "/x"], "No such file or directory"),
    ):
        monkeypatch.setattr(sys, "argv", ["x", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        last = capsys.readouterr().err.splitlines()[-1]
        assert (caught.value.code, told in last) == (2, True), last
        assert not (tmp_path / "nowhere").exists()


def test_what_goes_wrong_on_the_way_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    for number, pixels in enumerate(pictures(2, 64)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    Trainer(settings(data=str(tmp_path), out=str(tmp_path), late_crop=64)).save()

    def end(problem=None):
        def run(_trainer, _source):
            if problem is not None:
                raise problem

        return run

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(command, "export_state", full)
    for run, progress, words, told in (
        (end(OSError(errno.EEXIST, "File exists", "x")), 0.5, [], "error: [Errno 17] File exists: 'x'"),
        (end(CollapseError("collapsed")), 0.5, [], "error: collapsed"),
        (end(), 1.0, ["--install", "new"], "error: --install: [Errno 28] No space left on device; "),
    ):
        monkeypatch.setattr(Trainer, "run", run)
        monkeypatch.setattr(Trainer, "progress", lambda _, share=progress: share)
        monkeypatch.setattr(sys, "argv", ["x", "--resume", "--out", str(tmp_path), *words])
        with pytest.raises(SystemExit):
            command.main()
        assert told in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setattr(Trainer, "progress", lambda _: 0.5)
    command.main()
    assert "new.safetensors is not written; --resume goes on" in capsys.readouterr().err


def test_an_interrupted_installation_tells_that_the_state_is_whole(tmp_path, monkeypatch, capsys):
    Image.fromarray(pictures(1, 64)[0]).save(tmp_path / "0.png")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    Trainer(settings(data=str(tmp_path), out=str(tmp_path), late_crop=64)).save()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "export_state", interrupted)
    monkeypatch.setattr(Trainer, "run", lambda *_: None)
    monkeypatch.setattr(Trainer, "progress", lambda *_: 1.0)
    monkeypatch.setattr(sys, "argv", ["x", "--resume", "--out", str(tmp_path), "--install", "new"])
    with pytest.raises(KeyboardInterrupt):
        command.main()
    told = capsys.readouterr().err.splitlines()[-1]
    state = tmp_path / "state.safetensors"
    assert told.endswith(f"new.safetensors is not written; {state} is whole, for vqcodec.training.export")


def test_a_state_is_not_written_over(tmp_path, monkeypatch, capsys):
    for name in (FILE, STATE):
        (tmp_path / name).write_bytes(b"state")
    state, other = str(tmp_path / FILE), ["-o", str(tmp_path / "new.safetensors")]
    add = ["--only-add", "--out", str(tmp_path), "--add-to", str(tmp_path / STATE)]
    anew = ["--data", "x", "--steps", "1", "--out", str(tmp_path)]
    for run, words, told in (
        (export.main, [state, "--data", "x", "-o", state], "would replace the state itself"),
        (export.main, [state, "--data", "x", *other, "--batches", "-1"], "--batches is 0 or more, not -1"),
        (export.main, [state, "--data", "x", *other, "--pseudo", "nan"], "--pseudo is 0 or more, not nan"),
        (export.main, [state, "--data", "x", *other, "--cache", "-1"], "--cache is 0 or more, not -1.0"),
        (perceptual.main, add, "is the state itself"),
        (command.main, anew, "--resume goes on with it"),
        (perceptual.main, anew, "--resume goes on with it"),
    ):
        monkeypatch.setattr(sys, "argv", ["x", *words])
        with pytest.raises(SystemExit) as caught:
            run()
        last = capsys.readouterr().err.splitlines()[-1]
        assert (caught.value.code, told in last) == (2, True), last
    assert (tmp_path / FILE).read_bytes() == (tmp_path / STATE).read_bytes() == b"state"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", '{"prior_width": -1}'], "prior_width is made of whole numbers from 1 on, not -1"),
        (["--model", '{"prior_width": "a"}'], "prior_width is made of whole numbers from 1 on, not 'a'"),
        (["--model", '{"slices": [1, 0]}'], "slices is made of whole numbers from 1 on, not 0"),
        (["--model", '{"analysis": [8, 8, -1, 0]}'], "analysis is made of whole numbers from 0 on, not -1"),
        (["--seed", "99999999999999999999"], "--seed is at most"),
        (["--threads", "9999999999"], "--threads is at most"),
    ],
)
def test_numbers_that_torch_would_trip_over_are_told(tmp_path, capsys, words, told):
    with pytest.raises(SystemExit):
        command.main(["--data", str(tmp_path), "--steps", "1", "--out", str(tmp_path / "run"), *words])
    assert told in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_a_device_that_is_not_there_is_told(folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(
            ["--data", str(folder), "--steps", "1", "--out", str(tmp_path / "run"), "--device", "cuda"]
        )
    assert "--device cuda: not available on this machine" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_takes_no_state_is_told_before_pictures_are_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SystemExit):
        command.main(["--data", str(tmp_path / "none"), "--steps", "1", "--out", str(tmp_path / "run")])
    assert f"Permission denied: '{tmp_path}'" in capsys.readouterr().err.splitlines()[-1]


def test_an_interruption_between_steps_is_told_in_a_line(capsys):
    with pytest.raises(SystemExit) as caught, running.interruptible("training"):
        raise KeyboardInterrupt
    assert (caught.value.code, capsys.readouterr().err) == (130, "\ntraining: interrupted\n")


def test_what_a_killed_save_left_is_removed_by_the_next(folder, tmp_path):
    for name in (f".state-0123{TEMPORARY}", f".other-0123{TEMPORARY}"):
        (tmp_path / name).write_bytes(b"half")
    Trainer(settings(data=str(folder), out=str(tmp_path), steps=1)).run()
    assert sorted(p.name for p in tmp_path.glob(".*")) == [f".other-0123{TEMPORARY}"]


def test_every_option_is_explained(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    for run in (command.main, export.main, perceptual.main):
        with pytest.raises(SystemExit):
            run()
        lines = capsys.readouterr().out.partition("\noptions:\n")[2].splitlines()
        for line, after in itertools.pairwise([*lines, "  -"]):
            unexplained = line.startswith("  -") and "  " not in line.strip() and after.startswith("  -")
            assert not unexplained, line


def test_the_rate_without_warm_up_is_full_at_the_first_step(folder, tmp_path):
    for warmup, wanted in ((0, [1, 1, 1, 1]), (4, [0.25, 0.5, 1, 1])):
        run = running.Run(settings(warmup=warmup))
        for run.step, factor in zip((0, 1, 3, 9), wanted, strict=True):
            assert run.warm_up() == factor
    trainer = Trainer(settings(data=str(folder), out=str(tmp_path), steps=1, log_every=1, warmup=0))
    trainer.started = True
    trainer.run()
    (entry,) = log_of(tmp_path)
    assert entry["rate"] == pytest.approx(5e-4)


def test_a_run_on_small_pictures_is_installed(tmp_path, monkeypatch):
    """What is large enough to train on is large enough to count symbols on."""
    for number, pixels in enumerate(pictures(2, 100)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(command, "export_state", partial(export_state, batches=1))
    trained = settings(data=str(tmp_path), out=str(tmp_path / "run"), steps=2, late_crop=64)
    Trainer(trained).run()
    words = ["--resume", "--out", str(tmp_path / "run"), "--steps", "3", "--install", "small"]
    monkeypatch.setattr(sys, "argv", ["x", *words])
    command.main()
    assert (tmp_path / "vqcodec" / "models" / "small.safetensors").is_file()
