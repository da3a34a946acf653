"""Training a tiny model on generated pictures: it learns, resumes, stops politely, exports, fails loudly."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.tiny import TINY, picture, pictures, settings
from vqcodec.checkpoint import load_weights, save_weights
from vqcodec.codec import Codec
from vqcodec.entropy.tables import combine_rows, counts_from_codes, make_powers
from vqcodec.metrics import mse, psnr
from vqcodec.model.config import ModelConfig
from vqcodec.model.quantizer import VectorQuantizer
from vqcodec.model.vqvae import VQVAE, lambda_of_level
from vqcodec.segments import SegmentCodec
from vqcodec.training import __main__ as command
from vqcodec.training import evaluate, export, running
from vqcodec.training.config import TrainConfig
from vqcodec.training.data import Crops, find_images, load_images
from vqcodec.training.sources import load_start
from vqcodec.training.state import config_of_state, read_metadata
from vqcodec.training.trainer import CollapseError, Trainer

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def process_state():
    """A run takes over signals and the treatment of tiny floats; the other tests want them back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads = torch.get_num_threads()
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures to train on, one of them in a folder below, and files that are none."""
    path = tmp_path_factory.mktemp("pictures")
    (path / "below").mkdir()
    for i, x in enumerate(pictures(5, 256)):
        Image.fromarray(x).save(path / ("below" if i == 0 else ".") / f"{i}.png")
    Image.fromarray(picture(40, 300)).save(path / "narrow.png")
    (path / "broken.png").write_bytes(b"no picture")
    (path / "notes.txt").write_text("no picture either")
    return path


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Folder of a finished run of 60 steps."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    Trainer(settings(data=str(folder), out=str(out), steps=60, exact_from=0.7)).run()
    torch.set_flush_denormal(False)
    return out


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def mean_cost(entry: dict[str, Any]) -> float:
    return float(np.mean([third["cost"] for third in entry["levels"].values()]))


def vectors(trainer: Trainer) -> VectorQuantizer:
    assert isinstance(trainer.model.quantizer, VectorQuantizer)
    return trainer.model.quantizer


# -- the run -----------------------------------------------------------------------------------
def test_a_run_learns_and_reports(trained):
    log = log_of(trained)
    assert [entry["step"] for entry in log] == [10, 20, 30, 40, 50, 60]
    assert mean_cost(log[-1]) < 0.9 * mean_cost(log[0])
    last = log[-1]
    assert set(last["levels"]) == {"low", "middle", "high"}
    groups = sum(channels // size for size, channels, _ in TINY.bands)
    for name in ("perplexity", "dead_words", "w_error"):
        assert len(last["codebooks"][name]) == groups
    assert max(last["codebooks"]["perplexity"]) > 1.5
    assert last["levels"]["low"]["bpp"] < last["levels"]["high"]["bpp"]
    assert last["levels"]["low"]["psnr"] < last["levels"]["high"]["psnr"]
    rates = [entry["rate"] for entry in log]
    assert rates[0] > rates[-1]


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
    older = [n for n, _ in VQVAE(dataclasses.replace(TINY, first_passes=1)).named_parameters()]
    # Three more passes: two layers of three and two parameters, an interpolation each.
    assert len(names) == len(older) + 3 * (3 + 2 + 1) == 106 + 18
    assert set(older) < set(names)
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
    (item,) = (f for f in dataclasses.fields(TrainConfig) if f.name == "bf16")
    parser = argparse.ArgumentParser()
    running.add_option(parser, item)
    assert parser.parse_args(option).bf16 is value


@pytest.mark.parametrize("arguments", [[], ["--data", "x"], ["--steps", "3"]])
def test_the_command_wants_data_and_a_budget(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["vqcodec.training", *arguments])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 2
    assert "--data and one of" in capsys.readouterr().err


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


def test_a_budget_of_minutes_ends_the_run(folder, tmp_path):
    config = settings(data=str(folder), out=str(tmp_path), steps=None, minutes=0.01, log_every=1)
    trainer = Trainer(config)
    trainer.run()
    assert trainer.progress() == 1.0
    assert trainer.seconds >= 0.6
    assert trainer.step == len(log_of(tmp_path)) >= 1


# -- failing loudly ----------------------------------------------------------------------------
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


def test_dead_words_come_back_to_life(folder, tmp_path):
    config = settings(data=str(folder), out=str(tmp_path), steps=20, revive_every=5, log_every=20)
    trainer = Trainer(config)
    trainer.start(Crops(load_images(folder, 96), seed=0))
    with torch.no_grad():
        vectors(trainer).words[2][:, 8:] = 500.0
    trainer.run()
    assert float(vectors(trainer).words[2].detach().abs().max()) < 400


# -- from state to files -----------------------------------------------------------------------
@pytest.fixture(scope="module")
def exported(trained, folder, tmp_path_factory):
    """Weights file made by the export command from the trained state."""
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    arguments = [str(trained / "state.safetensors"), "--data", str(folder), "-o", str(path), "--batches", "4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["export", *arguments])
        export.main()
    return path


def test_an_export_codes_pictures(exported):
    codec = SegmentCodec.load(exported)
    assert codec.name == "mine"
    x = picture(150, 170, seed=77)
    segments = codec.encode(codec.analyse(x), 252, 64)
    decoded = codec.decode(segments, width=170, height=150, level=252, tile=64)
    assert psnr(x, decoded) > 24


def test_the_estimated_rate_is_what_files_take(trained, folder, tmp_path, without_shifts):
    """With the model's own tables, not corrected by counts, files take the rate that training optimises."""
    x = picture(256, 256, seed=78)
    Image.fromarray(x).save(tmp_path / "x.png")
    model, settings_then = evaluate.load_state(trained / "state.safetensors")
    assert settings_then["step"] == 60
    crops = Crops(load_images(folder, 64), seed=0)
    arrays = export.export(model, crops, batches=1, side=64, pseudo=1e12)
    save_weights(tmp_path / "plain.safetensors", model, arrays, {"name": "plain"})
    codec = SegmentCodec.load(tmp_path / "plain.safetensors")
    model.vectors().use_greedy_slopes()
    analysis = codec.analyse(x)
    for level in (40, 230):
        segments = codec.encode(analysis, level, 0)
        bpp = 8 * sum(len(s) for layers in segments for s in layers) / 256**2
        guess = evaluate.evaluate(model, [tmp_path / "x.png"], level / 252)
        # Two segments end in whole words; table codes are rounded to 1/15 nat.
        assert guess["bpp"] == pytest.approx(bpp, rel=0.01, abs=128 / 256**2)
        decoded = codec.decode(segments, width=256, height=256, level=level, tile=0)
        assert guess["psnr"] == pytest.approx(psnr(x, decoded), abs=0.1)


def test_counts_make_coding_cheaper(trained, folder, tmp_path):
    """Tables corrected by the symbols of the pictures at hand lower J = lambda 255^2 MSE + bpp of those."""
    model, _ = evaluate.load_state(trained / "state.safetensors")
    costs = []
    for pseudo in (60.0, 1e12):
        crops = Crops(load_images(folder, 64), seed=0)
        arrays = export.export(model, crops, batches=8, side=64, pseudo=pseudo)
        path = tmp_path / f"{pseudo:.0f}.safetensors"
        save_weights(path, model, arrays, {"name": "x"})
        codec = SegmentCodec.load(path)
        cost = 0.0
        for x in pictures(5, 256):
            segments = codec.encode(codec.analyse(x), 100, 0)
            decoded = codec.decode(segments, width=256, height=256, level=100, tile=0)
            weight = float(lambda_of_level(torch.tensor(100 / 252)))
            cost += weight * mse(x, decoded) + 8 * sum(len(s) for s in segments[0]) / 256**2
        costs.append(cost)
    assert costs[0] < costs[1]


def test_tables_fit_what_was_counted(trained):
    """Fitted rows give each value of each context number the words that were counted there."""
    model, _ = evaluate.load_state(trained / "state.safetensors")
    quantizer = model.quantizer
    assert isinstance(quantizer, VectorQuantizer)
    band, levels = quantizer.bands[0], quantizer.context_levels
    classes = levels[0] * levels[1]
    random = torch.Generator().manual_seed(0)
    counts = torch.rand(band.groups, classes, band.words, generator=random).square() * 1000
    rows = export.table_rows(quantizer, 0, counts, pseudo=1e-6)
    codes = combine_rows(rows, levels)
    fitted = counts.sum(-1, keepdim=True) * torch.from_numpy(
        counts_from_codes(codes, make_powers()) / 2.0**24
    )
    for axis in (2, 1):
        wanted, got = (v.reshape(band.groups, *levels, band.words).sum(axis) for v in (counts, fitted))
        # Codes are rounded to 1/15 nat, twice.
        assert bool(((got / wanted).log().abs() < 0.08).all())


def test_evaluation_command(trained, folder, monkeypatch, capsys):
    arguments = [str(trained / "state.safetensors"), "--data", str(folder / "below"), "--levels", "0,0.5"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, "--exact", "--codebooks"])
    evaluate.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["pictures"] == 1
    assert lines[1]["bpp"] < lines[2]["bpp"]
    assert lines[1]["psnr"] < lines[2]["psnr"]
    assert "perplexity" in lines[3]


def test_evaluation_without_networks(trained, folder, monkeypatch, capsys):
    state = str(trained / "state.safetensors")
    rows = []
    for more in ([], ["--linear"]):
        words = ["evaluate", state, "--data", str(folder / "below"), "--levels", "0.5", *more]
        monkeypatch.setattr(sys, "argv", words)
        evaluate.main()
        rows.append(json.loads(capsys.readouterr().out.splitlines()[1]))
    assert rows[0]["cost"] != rows[1]["cost"]
    model, _ = evaluate.load_state(trained / "state.safetensors")
    x, level = torch.rand(1, 3, 32, 32), torch.tensor([0.5])
    assert not torch.equal(model.g_a(x, level), model.g_a.linear(x))
    evaluate.silence_networks(model)
    assert torch.equal(model.g_a(x, level), model.g_a.linear(x))
    y = torch.rand(1, TINY.channels, 2, 2)
    assert torch.equal(model.g_s(y, level), model.g_s.linear(y) + 0.5)
    bare = VQVAE(dataclasses.replace(TINY, shortcut=False))
    with pytest.raises(ValueError, match="without shortcut"):
        evaluate.silence_networks(bare)


def changed_by_training(exported, folder, out, monkeypatch, option):
    """Names of the parameters that a short run with `option` changes."""
    words = f"--data {folder} --from {exported} --out {out} --steps 16 --batch 2 --crop 64 --late-crop 64"
    monkeypatch.setattr(sys, "argv", ["x", *words.split(), option, "--revive-every", "1", "--log-every", "8"])
    command.main()
    before, (after, _) = load_start(str(exported)), evaluate.load_state(out / "state.safetensors")
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return {name for (name, a), b in pairs if not torch.equal(a, b)}


def test_a_prior_is_trained_alone(exported, folder, tmp_path, monkeypatch):
    """Latents stay, and so do codewords; rates are logged, errors are not."""
    changed = changed_by_training(exported, folder, tmp_path, monkeypatch, "--prior-only")
    assert {name.split(".")[0] for name in changed} == {"prior", "h_a", "hyper_quantizer", "quantizer"}
    assert not any(name.startswith("quantizer.words") for name in changed)
    entry = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    for values in entry["levels"].values():
        assert values["bpp"] > 0
        assert values["psnr"] is None


def test_one_part_is_trained_alone_at_a_time(folder, tmp_path, monkeypatch, capsys):
    words = f"x --data {folder} --out {tmp_path} --steps 1 --prior-only --decoder-only"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit):
        command.main()
    assert "exclude each other" in capsys.readouterr().err


def test_a_decoder_is_trained_alone_and_replaced(exported, folder, tmp_path, monkeypatch, capsys):
    """The bits stay what they are, and so does the linear half, which the perceptual decoder shares."""
    out, new = tmp_path / "run", tmp_path / "new.safetensors"
    changed = changed_by_training(exported, folder, out, monkeypatch, "--decoder-only")
    assert changed
    assert all(name.startswith("g_s.") for name in changed)
    assert not changed & {"g_s.shortcut", "g_s.lapping"}

    arguments = ["x", str(out / "state.safetensors"), "--decoder-of", str(exported), "-o", str(new)]
    monkeypatch.setattr(sys, "argv", arguments)
    export.main()
    old_codec, codec = Codec(SegmentCodec.load(exported)), Codec(SegmentCodec.load(new))
    assert codec.decoder_id in capsys.readouterr().out
    assert (codec.bitstream_id, codec.decoder_id != old_codec.decoder_id) == (old_codec.bitstream_id, True)
    pixels = picture(64, 96)
    data = codec.compress(pixels)
    assert data == old_codec.compress(pixels)
    assert not np.array_equal(np.asarray(codec.decompress(data)), np.asarray(old_codec.decompress(data)))


def test_a_decoder_of_other_latents_is_refused(exported, trained, tmp_path, monkeypatch, capsys):
    state, target = str(trained / "state.safetensors"), str(tmp_path / "new.safetensors")
    other = tmp_path / "other.safetensors"
    weights = load_weights(exported)
    with torch.no_grad():
        weights.transforms.log_gain.add_(0.1)
    save_weights(other, weights.transforms, weights.coding, {})
    for arguments, reason in (
        (["--decoder-of", str(other)], "its gains are others"),
        (["--decoder-of", "default"], "its latents are of other sizes"),
        (["--decoder-of", str(tmp_path / "none.safetensors")], "none.safetensors"),
        ([], "one of --data and --decoder-of is needed"),
    ):
        monkeypatch.setattr(sys, "argv", ["x", state, "-o", target, *arguments])
        with pytest.raises(SystemExit):
            export.main()
        assert reason in capsys.readouterr().err
    assert not Path(target).exists()


def test_the_scalar_quantiser_trains_and_is_not_exported(folder, tmp_path):
    values = TINY.to_dict() | {"quantizer": "scalar"}
    config = settings(
        data=str(folder), out=str(tmp_path), steps=10, log_every=5, model=ModelConfig.from_dict(values)
    )
    trainer = Trainer(config)
    trainer.run()
    log = log_of(tmp_path)
    assert "codebooks" not in log[0]
    assert mean_cost(log[1]) < mean_cost(log[0])
    with pytest.raises(ValueError, match="vector quantiser"):
        export.export(trainer.model, Crops(pictures(2, 64), seed=0), batches=1, side=64)


# -- data --------------------------------------------------------------------------------------
def test_pictures_are_found_and_bad_ones_skipped(folder, capsys, tmp_path):
    assert [p.name for p in find_images(folder)] == [
        "1.png", "2.png", "3.png", "4.png", "0.png", "broken.png", "narrow.png"
    ]  # fmt: skip
    loaded = load_images(folder, 64)
    assert len(loaded) == 5
    assert all(p.shape == (256, 256, 3) and p.dtype == np.uint8 for p in loaded)
    assert "skipped broken.png" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="no picture has both sides >= 999"):
        load_images(folder, 999)
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="no pictures found"):
            find_images(missing)


def test_crops_are_spread_over_the_dial_and_repeatable():
    first, second = (Crops(pictures(3, 100), seed=4) for _ in range(2))
    for _ in range(3):
        x, level = first.batch(6, 48)
        again, level_again = second.batch(6, 48)
        assert torch.equal(x, again)
        assert torch.equal(level, level_again)
        assert x.shape == (6, 3, 48, 48)
        assert float(x.min()) >= 0
        assert float(x.max()) <= 1
        assert (level * 6).long().tolist() == list(range(6))
    assert Crops(pictures(1, 64), seed=0, level=0.25).batch(3, 32)[1].tolist() == [0.25] * 3


def test_crops_cut_ahead_are_the_same():
    """Neither threads nor the number of the first batch change what a batch holds."""
    plain, ahead = Crops(pictures(3, 100), seed=4), Crops(pictures(3, 100), seed=4, workers=3)
    shapes = [(6, 48), (6, 48), (2, 64), (6, 48)]
    for count, side in shapes:
        for x, again in zip(plain.batch(count, side), ahead.batch(count, side), strict=True):
            assert torch.equal(x, again)
    later = Crops(pictures(3, 100), seed=4, first=len(shapes))
    assert torch.equal(later.batch(6, 48)[0], plain.batch(6, 48)[0])
    assert not torch.equal(plain.batch(6, 48)[0], plain.batch(6, 48)[0])
