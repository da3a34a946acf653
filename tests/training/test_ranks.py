"""Training on many devices: two ranks on the CPU do what one does, and end together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import pictures, settings
from tests.training.runs import log_of
from tests.training.shared_runs import run_all
from vqcodec.training import ranks as module
from vqcodec.training.codebook_start import worst_coded
from vqcodec.training.data import Crops
from vqcodec.training.ranks import GradientSum, Ranks, RanksError
from vqcodec.training.state import FILE, read_metadata
from vqcodec.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
ALONE = os.environ | {"OMP_NUM_THREADS": "1"}
SHARED = """
import sys
sys.path.append(sys.argv.pop(1))  # behind the installed package
from tests.training import shared_runs
shared_runs.main()
"""


@pytest.fixture(scope="module")
def runs(trained, folder, tiny_weights, tmp_path_factory):
    """Folders of the runs of `shared_runs`, by one rank and by two."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    arguments = [folder, trained / FILE, tiny_weights]
    run_all(Ranks(), str(folder), trained / FILE, tiny_weights, one)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", SHARED, str(ROOT), *map(str, arguments), str(two)]
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    numbered = [ALONE | meeting | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    processes = [subprocess.Popen(command, env=env) for env in numbered]
    try:
        assert [process.wait(240) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return SimpleNamespace(one=one, two=two)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new", "again"])
def test_two_ranks_reach_the_loss_of_one(runs, name):
    """With half of each batch on either; a run that one rank began goes on, on two, with the same crops."""
    one, two = (log_of(folder / name) for folder in (runs.one, runs.two))
    assert [e["step"] for e in two] == [e["step"] for e in one]
    for alone, together in zip(one, two, strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-3)
        assert together["gradient_norm"] == pytest.approx(alone["gradient_norm"], rel=1e-3)
        assert together["levels"].keys() == alone["levels"].keys()
        for third, values in alone["levels"].items():
            assert together["levels"][third] == pytest.approx(values, rel=1e-2), third
        assert together["codebooks"]["dead_words"] == alone["codebooks"]["dead_words"]
    states = [load_file(folder / name / FILE) for folder in (runs.one, runs.two)]
    for key, tensor in states[0].items():
        difference = (states[1][key] - tensor).abs().max()
        assert float(difference) <= 0.02 * float(tensor.abs().max()), key


@pytest.mark.slow
def test_two_ranks_tune_the_perceptual_decoder_as_one(runs):
    """Also what is no mean over pictures: the adaptive weight, and the scale of feature matching."""
    texts = [(folder / "looks" / "perceptual.jsonl").read_text() for folder in (runs.one, runs.two)]
    one, two = ([json.loads(line) for line in text.splitlines()] for text in texts)
    assert [e["step"] for e in two] == [2, 4]
    assert {"weight", "generator", "real", "fake"} <= two[-1].keys()
    for alone, together in zip(one, two, strict=True):
        figures = {key: value for key, value in alone.items() if key != "seconds"}
        assert {key: together[key] for key in figures} == pytest.approx(figures, rel=1e-3, abs=2e-4)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once there")
def test_all_ranks_end_after_one_step_when_torchrun_is_told_to(trained, folder, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / FILE).write_bytes((trained / FILE).read_bytes())
    options = ["--resume", "--out", str(out), "--data", str(folder), "--steps", "1000000", "--log-every", "1"]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vqcodec.training"]
    begun = (out / FILE).stat().st_mtime_ns
    with subprocess.Popen([sys.executable, "-m", *torchrun, *options], env=ALONE) as process:
        try:
            until = time.monotonic() + 200
            while not (out / "log.jsonl").exists() and time.monotonic() < until and process.poll() is None:
                time.sleep(0.05)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
    assert (out / FILE).stat().st_mtime_ns > begun
    saved = json.loads(read_metadata(out / FILE)["progress"])["step"]
    steps = [entry["step"] for entry in log_of(out)]
    assert steps == list(range(61, saved + 1))


def test_a_step_in_parts_is_a_step():
    batch = Crops(pictures(3, 100), seed=1).batch(5, 64)
    whole, parts = (Trainer(settings(accumulate=n, late_crop=64)) for n in (1, 3))
    for trainer in (whole, parts):
        trainer._set_rate(0.5)
    (output, loss), (output_again, loss_again) = (t.train_step(*batch) for t in (whole, parts))
    assert loss_again == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(output_again.bits_y, output.bits_y, rtol=1e-5)
    for name in ("index", "residual"):
        first, second = (getattr(o.passes[3], name)[1] for o in (output, output_again))
        assert torch.allclose(first, second, rtol=1e-4, atol=1e-5)
    for name, parameter in whole.model.named_parameters():
        twin = parts.model.get_parameter(name)
        assert (twin.grad is None) == (parameter.grad is None), name
        if twin.grad is not None and parameter.grad is not None:
            assert torch.allclose(twin.grad, parameter.grad, rtol=1e-3, atol=1e-4), name
            assert twin.grad.stride() == twin.stride(), name


def test_gradients_are_weighted_by_the_pictures_of_a_part():
    weight, unused, frozen = (torch.zeros(2, requires_grad=flag) for flag in (True, True, False))
    total = GradientSum([weight, unused, frozen], Ranks())
    for _ in range(2):
        for share, gradient in ((0.75, [4.0, 8.0]), (0.25, [8.0, 0.0])):
            weight.grad, unused.grad = torch.tensor(gradient), None
            total.add(share)
        total.finish()
        assert weight.grad is not None
        assert weight.grad.tolist() == [5.0, 6.0]
        assert unused.grad is None


def test_ranks_share_every_place():
    shared = [Ranks(number, 3).places(8) for number in range(3)]
    assert sorted(place for places in shared for place in places) == list(range(8))
    whole, part = (Crops(pictures(3, 100), seed=4, tunes=2) for _ in range(2))
    x, t = whole.batch(8, 48)
    own_x, own_t = part.batch(8, 48, places=shared[1])
    assert torch.equal(own_x, x[1::3])
    assert torch.equal(own_t, t[1::3])


def test_a_batch_has_a_crop_for_every_part_of_every_rank():
    with pytest.raises(RanksError, match="batch of 4 cannot be shared by 2 ranks in 3 parts"):
        Trainer(settings(batch=4, accumulate=3), Ranks(0, 2))
    with pytest.raises(RanksError, match="batch of 1 cannot"):  # of the late crops
        Trainer(settings(batch=4, crop=64, late_crop=128), Ranks(0, 2))


def test_every_rank_has_a_card(monkeypatch):
    monkeypatch.setattr(module, "resolve_device", lambda _: ("cuda", None))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Ranks().device("auto") == "cuda"
    assert Ranks().device("cuda:1") == "cuda:1"
    assert Ranks(3, 4, 1, 2).device("auto") == "cuda:1"
    assert Ranks(3, 4, 1, 2).device("cpu") == "cpu"
    with pytest.raises(RanksError, match="3 ranks on a machine with 2 cards"):
        Ranks(0, 3, 0, 3).device("cuda")
    with pytest.raises(RanksError, match="a card of its own"):
        Ranks(0, 2, 0, 2).device("cuda:1")


def test_the_worst_coded_of_all_are_among_the_worst_coded_of_each():
    generator = torch.Generator().manual_seed(0)
    words, sample = (torch.randn(2, n, 4, generator=generator) for n in (5, 40))
    whole = worst_coded(sample, words)
    halves = torch.cat([worst_coded(half, words) for half in sample.chunk(2, 1)], 1)
    assert torch.equal(worst_coded(halves, words), whole)
    assert worst_coded(sample[:, :3], words).shape == (2, 3, 4)
