"""Weights files back to models: rates, gradients, training from them, and installing the result."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import TINY, load_codec, open_restoration_, picture, pictures, tiny_model, write_tiny
from vqcodec.errors import ModelNotFound
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.training import __main__ as command
from vqcodec.training.export import export_state
from vqcodec.training.state import load_start
from vqcodec.weights import zoo
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.restore import restore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    for i, x in enumerate(pictures(3, 256)):
        Image.fromarray(x).save(path / f"{i}.png")
    return path


def test_a_restored_model_predicts_what_files_take(
    tiny_weights, tiny_codec, tmp_path, without_offsets, bench
):
    model = restore(load_weights(tiny_weights))
    assert model.config == TINY
    model.set_exact(True)
    model.quantizer.use_greedy_slopes()
    x = picture(256, 256, seed=5)
    Image.fromarray(x).save(tmp_path / "x.png")
    for level in (20, 126, 252):
        segments = tiny_codec.encode(x, level, 0).segments
        decoded = tiny_codec.decode(segments, width=256, height=256, level=level, tile=0)
        bpp = 8 * sum(len(s) for layers in segments for s in layers) / 256**2
        guess = bench("evaluate").evaluate(model, [tmp_path / "x.png"], level / 252)
        # Two segments end in whole words; the hyper-latent's tables are only nearly those of the knots.
        assert guess["bpp"] == pytest.approx(bpp, rel=0.02, abs=128 / 256**2)
        assert guess["psnr"] == pytest.approx(psnr(x, decoded), abs=0.1)


def test_a_restored_model_is_near_the_trained_one(tmp_path):
    """It does the same to a hundredth, and gradients reach every parameter."""
    trained = tiny_model(4)
    open_restoration_(trained, seed=1, spread=0.1)
    write_tiny(tmp_path / "x.safetensors", trained)
    model = restore(load_weights(tmp_path / "x.safetensors"))
    x = torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None] / 255
    t = torch.tensor([0.5])
    with torch.no_grad():
        y, again = trained.analyse(x, t), model.analyse(x, t)
        assert float((y - again).square().mean()) < 0.1 * float(1 / 12)
        pictures = [m.synthesise(y, t) for m in (trained, model)]
        assert float((pictures[0] - pictures[1]).square().mean()) < (1 / 255) ** 2
    assert set(dict(model.named_parameters())) == set(dict(trained.named_parameters()))
    output = model(x, torch.tensor([0.5]))
    (output.mse + output.energy).sum().backward()
    for name, parameter in model.g_a.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_incomplete_weights_are_refused(tiny_weights):
    weights = load_weights(tiny_weights)
    for name in ("prior.enter.1.weight", "y.words.0", "z.tables.0"):
        kept = weights.coding.pop(name)
        with pytest.raises(ModelNotFound, match="do not fit"):
            restore(weights)
        weights.coding[name] = kept
    weights.coding["y.tables.0"] = np.zeros((1, 2, 3), dtype=np.uint8)
    with pytest.raises(ModelNotFound, match="do not fit"):
        restore(weights)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["vqcodec.training", *arguments])
    command.main()


@pytest.mark.slow
def test_training_from_a_model_installs_another(tiny_weights, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VQCODEC_MODELS", str(tiny_weights.parent))
    # Of the usual 250 batches, on which symbols are counted, some are enough here.
    monkeypatch.setattr(command, "export_state", partial(export_state, batches=4))
    common = ["--data", str(folder), "--batch", "2", "--crop", "64", "--late-crop", "64", "--steps", "3"]
    run(monkeypatch, "--from", "tiny", *common, "--out", str(tmp_path / "run"), "--install", "mine")
    installed = zoo.user_folder() / "mine.safetensors"
    assert f"installed {installed}" in capsys.readouterr().err
    assert zoo.find_model("mine") == installed
    info = zoo.describe_model(installed)
    assert info.bitstream_id != zoo.describe_model(tiny_weights).bitstream_id
    codec = load_codec(installed)
    assert codec.name == "mine"
    x = picture(96, 96, seed=8)
    decoded = codec.decode(codec.encode(x, 200, 0).segments, width=96, height=96, level=200, tile=0)
    assert psnr(x, decoded) > 22


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65])
def test_names_that_are_no_file_names_are_refused(monkeypatch, capsys, name):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, "--data", "x", "--steps", "1", "--install", name)
    assert caught.value.code == 2
    assert "--install needs a name" in capsys.readouterr().err


def test_unknown_sources_are_refused(monkeypatch, capsys):
    with pytest.raises(ModelNotFound, match="no model named 'absent'"):
        load_start("absent")
    with pytest.raises(SystemExit):
        run(monkeypatch, "--data", "x", "--steps", "1", "--from", "absent")
    assert "no model named 'absent'" in capsys.readouterr().err
