"""From models in floating point to weights files: the command, and what a run without training costs."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from tests.tiny import TINY, load_codec, picture, pictures, tiny_model
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.training import quantise
from vqcodec.training.data import Crops
from vqcodec.training.export import export
from vqcodec.training.ranges import MARGIN, Ranges


@pytest.fixture
def real(tmp_path):
    """A model, and a weights file of it as they were in floating point."""
    model = tiny_model(8)
    tensors = {
        n: t.detach().numpy() for n, t in model.state_dict().items() if n.startswith(("g_", "h_a", "log"))
    }
    weight = tensors["g_a.head.weight"]
    scale = (np.abs(weight).max((1, 2, 3)) / 127).astype(np.float32)
    tensors["g_a.head.weight"] = np.rint(weight / scale[:, None, None, None]).astype(np.int8)
    tensors["g_a.head.weight.scale"] = scale
    bias = tensors["g_s.tail.bias"]
    coding = export(model, Crops(pictures(), seed=1), batches=2, side=64)
    tensors |= {f"coding.{name}": array for name, array in coding.items()}
    tensors["realism.tail.bias"] = (bias + 0.1).astype(np.float16)
    path = tmp_path / "real.safetensors"
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"config": json.dumps(TINY.to_dict()), "name": "real"})
    return model, path


def test_the_command_makes_integers_of_a_model_in_floating_point(real, tmp_path, monkeypatch, capsys):
    model, path = real
    folder, out = tmp_path / "photos", tmp_path / "out.safetensors"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(picture(260, 270, seed)).save(folder / f"{seed}.png")
    monkeypatch.setattr(quantise, "BATCHES", 2)
    words = [str(path), "-o", str(out), "--data", str(folder)]
    monkeypatch.setattr(sys, "argv", ["quantise", *words])
    quantise.main()
    codec = load_codec(out)
    assert capsys.readouterr().out.endswith(f"{codec.bitstream_id} {codec.decoder_id}\n")
    assert codec.name == "real"
    assert len(codec.realism_id) == 16
    x = picture(96, 80, seed=9)
    segments = codec.encode(x, 150, 0).segments
    where = {"width": 80, "height": 96, "level": 150, "tile": 0}
    decoded = codec.decode(segments, **where)
    y_hat = torch.from_numpy(codec.decoder.latent(segments, **where)).permute(2, 0, 1)[None].float() / 128
    with torch.no_grad():
        wanted = model.synthesise(y_hat, torch.tensor([150 / 252]))[0].permute(1, 2, 0).numpy() * 255
    assert psnr(decoded, wanted.round().clip(0, 255).astype(np.uint8)) > 45
    other = codec.decode(segments, **where, realism=1.0).astype(int)
    assert 15 < (other - decoded).mean() < 30  # .1 of 255
    for wrong in (
        [str(tmp_path / "none"), *words[1:]],
        [str(out), *words[1:]],
        [*words[:3], "--data", "none"],
    ):
        monkeypatch.setattr(sys, "argv", ["quantise", *wrong])
        with pytest.raises(SystemExit):
            quantise.main()


def test_steps_reach_as_far_as_what_was_seen():
    layer = torch.nn.Conv2d(3, 2, 1)
    network, ranges = torch.nn.Sequential(layer), Ranges()
    x = torch.rand(1, 3, 4, 5)
    x[0, 2] = 0
    with ranges.watch(network), torch.no_grad():
        out = network(x)
    assert ranges.largest["0"] == float(out.abs().max())
    top = x.amax((0, 2, 3)).numpy()
    assert np.allclose(ranges.rectified("0")[:2] * 255, MARGIN * top[:2])
    assert np.allclose(ranges.signed("0")[:2] * 127, MARGIN * top[:2])
    assert 0 < ranges.signed("0")[2] < 0.01 * ranges.signed("0")[0]
    with torch.no_grad():
        network(10 * x)  # nobody watches
    assert ranges.largest["0"] == float(out.abs().max())
