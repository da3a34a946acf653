"""Adam and SOAP in a run: what a state keeps of them, and what is said where SOAP's package is missing."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import pictures, settings
from vqcodec.training.__main__ import main
from vqcodec.training.data import Crops
from vqcodec.training.optimizers import LARGEST_SIDE, make_optimizer
from vqcodec.training.trainer import Trainer

BATCHES = 14
"""More than `BASES_EVERY` steps, so that bases are corrected before a state is written and after it."""


def advanced(trainer: Trainer, batches) -> list[float]:
    """Losses of steps over these batches."""
    losses = []
    for batch in batches:
        trainer._set_rate(0.3)
        losses.append(trainer.train_step(*batch)[1])
    return losses


@pytest.fixture
def batches():
    crops = Crops(pictures(), seed=3)
    return [crops.batch(4, 64) for _ in range(BATCHES)]


def test_soap_goes_on_from_a_state_as_if_never_stopped(tmp_path, batches):
    config = settings(out=str(tmp_path), steps=40, optimizer="soap")
    first = Trainer(config)
    advanced(first, batches[:11])
    first.save()
    second = Trainer(config)
    second.load(tmp_path / "state.safetensors")
    assert [group["step"] for group in second.optimizer.param_groups] == [
        group["step"] for group in first.optimizer.param_groups
    ]
    assert advanced(second, batches[11:]) == pytest.approx(advanced(first, batches[11:]), rel=1e-5)
    for name, parameter in first.model.named_parameters():
        assert torch.allclose(second.model.get_parameter(name), parameter, rtol=1e-3, atol=1e-5), name


def test_a_state_holds_soaps_bases_of_the_networks_alone(tmp_path, batches):
    first = Trainer(settings(out=str(tmp_path), steps=40, optimizer="soap"))
    advanced(first, batches[:2])
    first.save()
    tensors = load_file(tmp_path / "state.safetensors")
    weight = "g_a.blocks_deep.0.conv1.weight"
    sides = tensors[f"model.{weight}"].shape
    for side, size in enumerate(sides):
        base = tensors[f"soap.Q.{side}.{weight}"]
        assert torch.allclose(base @ base.T, torch.eye(size), atol=1e-4)
    assert "soap.exp_avg.quantizer.words.0" in tensors
    assert not [name for name in tensors if name.startswith("soap.Q.") and "quantizer" in name]
    assert not [name for name in tensors if name.startswith("optim.")]


@pytest.mark.parametrize(("before", "after"), [("adam", "soap"), ("soap", "adam")])
def test_another_optimiser_starts_anew_from_the_weights(tmp_path, batches, before, after):
    first = Trainer(settings(out=str(tmp_path), steps=40, optimizer=before))
    advanced(first, batches[:3])
    first.save()
    second = Trainer(settings(out=str(tmp_path), steps=40, optimizer=after))
    second.load(tmp_path / "state.safetensors")
    assert not second.optimizer.state
    assert second.step == 3
    fresh = Trainer(settings(steps=40, optimizer=after))
    fresh.model.load_state_dict(first.model.state_dict())
    fresh.step, fresh.gradient_norm, fresh.started = 3, first.gradient_norm, True
    assert advanced(second, batches[3:6]) == pytest.approx(advanced(fresh, batches[3:6]), rel=1e-5)


def test_long_sides_and_fast_parameters_have_no_bases():
    long, short, fast = (torch.nn.Parameter(torch.ones(size, 3)) for size in (LARGEST_SIDE + 1, 8, 8))
    groups = [
        {"params": [long, short], "factor": 0.3, "lr": 1e-3},
        {"params": [fast], "factor": 40.0, "lr": 1e-3},
    ]
    optimizer = make_optimizer("soap", groups)
    for parameter in (long, short, fast):
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    bases = [[len(base) for base in optimizer.state[p]["Q"]] for p in (long, short, fast)]
    assert bases == [[0, 3], [8, 3], [0, 0]]


@pytest.mark.parametrize("kind", ["soap", "sgd"])
def test_what_is_wrong_is_told_in_one_line(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path), "--steps", "1", "--out", str(tmp_path / "run"), "--optimizer", kind])
    expected = {
        "soap": "SOAP needs pytorch_optimizer: pip install 'vqcodec[train]'",
        "sgd": "--optimizer is one of adam, soap, not sgd",
    }
    assert capsys.readouterr().err.rstrip().endswith(expected[kind])
