"""The networks in integers: near the float model, and by windows the same as the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tiny import open_restoration_, picture, pictures, tiny_model
from vqcodec.engine.analysis import Analysis
from vqcodec.engine.hyper import HyperAnalysis
from vqcodec.engine.synthesis import Synthesis
from vqcodec.engine.torch_ops import TorchOps
from vqcodec.model.vqvae import VQVAE
from vqcodec.tiling import BLOCK, windows
from vqcodec.training.data import Crops
from vqcodec.training.prior_arrays import export_prior
from vqcodec.training.quantise import quantise
from vqcodec.weights.integers import Arrays, to_integers, to_reals
from vqcodec.weights.layout import to_layers, to_parameters

OPS = TorchOps()
HALO = 6
"""What the tiny model sees, in blocks."""


@pytest.fixture(scope="module")
def model() -> VQVAE:
    made = tiny_model(8)
    open_restoration_(made, seed=2, spread=0.1)
    made.set_exact(True)
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def arrays(model: VQVAE) -> Arrays:
    crops = Crops(pictures(), seed=1)
    return quantise(model, [crops.batch(4, 64) for _ in range(6)])


def test_integers_are_near_the_float_model(model, arrays):
    pixels, level = picture(96, 128, seed=3), 150
    t = torch.tensor([level / 252])
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        y = model.analyse(x, t)
        z = model.hyper_latent(y)[0].permute(1, 2, 0).numpy()
        y_hat = model.quantise(y, t)[0]
        decoded = model.synthesise(y_hat, t)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    found = Analysis(OPS, arrays)(pixels, level)
    real = y[0].permute(1, 2, 0).numpy()
    assert np.abs(found - real).max() < 0.2
    assert np.sqrt(np.square(found - real).mean()) < 0.06  # a fifth of the quantiser's error
    compand = export_prior(model)["prior.compand"]
    assert (
        np.abs(HyperAnalysis(OPS, arrays, compand)(real) - z).mean() < 0.1
    )  # what was not seen before is clipped
    units = (y_hat[0].permute(1, 2, 0) * 128).round().numpy()
    integers = Synthesis(OPS, arrays)(units, level)
    assert integers.dtype == np.uint8
    assert np.sqrt(np.square(integers - decoded).mean()) < 0.6


def test_windows_are_the_whole(arrays):
    """Exactly, also where strips of the restoration begin elsewhere."""
    random, shape = np.random.default_rng(4), (19, 15)
    synthesis = Synthesis(OPS, arrays)
    analysis = Analysis(OPS, arrays)
    latent = np.rint(random.normal(0, 300, (*shape, 16)))
    pixels = random.integers(0, 256, (BLOCK * shape[0], BLOCK * shape[1], 3), dtype=np.uint8)
    decoded, y = synthesis(latent, 90), analysis(pixels, 90)
    for window in windows(shape, 5, HALO):
        inner, outer = window.scaled(BLOCK).inner, window.scaled(BLOCK).outer
        rows, columns = (
            slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
        )
        assert np.array_equal(synthesis(latent[window.outer], 90)[rows, columns], decoded[inner])
        rows, columns = (
            slice(i.start - o.start, i.stop - o.start)
            for i, o in zip(window.inner, window.outer, strict=True)
        )
        assert np.array_equal(analysis(pixels[outer], 90)[rows, columns], y[window.inner])


def test_what_integers_stand_for_gives_the_same_integers(arrays):
    reals = to_reals(arrays)
    steps = {name: array for name, array in arrays.items() if name.endswith(".step")}
    least = {n.removesuffix(".scale"): a for n, a in arrays.items() if n.endswith(".scale")}
    parameters = {name: real.astype(np.float32) for name, real in to_parameters(reals).items()}
    again = to_integers(to_layers(parameters), steps, least)
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        if name.endswith(("weight", "kernels")):
            assert np.abs(again[name].astype(int) - array).max() <= 1, name
        else:
            assert np.allclose(again[name], array, rtol=1e-2, atol=1e-6), name


def test_levels_alternate_without_harm(arrays):
    synthesis = Synthesis(OPS, arrays)
    latent = np.rint(np.random.default_rng(5).normal(0, 300, (3, 4, 16)))
    first, second = synthesis(latent, 30), synthesis(latent, 200)
    assert not np.array_equal(first, second)
    assert np.array_equal(synthesis(latent, 30), first)


def test_missing_and_misshapen_arrays_are_refused(arrays):
    for name in ("g_s.first.weight", "g_s.latent.step", "g_s.restoration.kernels"):
        with pytest.raises(KeyError):
            Synthesis(OPS, {n: a for n, a in arrays.items() if n != name})
    wrong = {
        "g_s.last.scale": np.ones(3, np.float32),
        "g_s.coarse.0.conv1.weight": np.zeros((8, 2, 2, 8), np.int8),
    }
    for name, array in wrong.items():
        with pytest.raises(ValueError, match=name.rpartition(".")[0]):
            Synthesis(OPS, arrays | {name: array})
