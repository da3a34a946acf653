"""From models in floating point to weights files: what rounding costs, with nothing trained again."""

from __future__ import annotations

import copy

import numpy as np
import torch

from tests.tiny import load_codec, picture, pictures, tiny_model, write_tiny
from vqcodec.metrics.rate_distortion import psnr
from vqcodec.training.quantise import quantise_decoder, some_batches
from vqcodec.training.ranges import MARGIN, Ranges
from vqcodec.weights.checkpoint import load_weights
from vqcodec.weights.writing import add_realism


def test_files_decode_as_the_model_in_floating_point(tmp_path):
    model, path = tiny_model(8), tmp_path / "tiny.safetensors"
    write_tiny(path, model)
    brighter = copy.deepcopy(model.g_s)
    with torch.no_grad():
        brighter.get_parameter("tail.bias").add_(0.1)
    step = load_weights(path).transforms["g_s.latent.step"]
    add_realism(path, quantise_decoder(model, brighter, some_batches(pictures(), 64), step), path)
    codec = load_codec(path)
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
