"""LPIPS and DISTS on random networks, their parts against the formulas by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from vqcodec.errors import ModelNotFound
from vqcodec.metrics.perceptual import DISTS, LPIPS, weights_folder

CHANNELS = (3, 64, 128, 256, 512, 512)
"""Of the maps that DISTS compares: the picture, and VGG16's five stages."""


@pytest.fixture(scope="module")
def folder(perceptual_weights):
    return perceptual_weights


@pytest.fixture(scope="module")
def distances(folder):
    return {"alexnet": LPIPS("alexnet", folder), "vgg16": LPIPS("vgg16", folder), "dists": DISTS(folder)}


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "dists"])
def test_equal_pictures_are_at_no_distance_and_noise_adds_to_it(distances, name):
    torch.manual_seed(1)
    x = torch.rand(2, 3, 64, 48)
    noise = torch.randn_like(x)
    some, more = ((x + s * noise).clamp(0, 1) for s in (0.05, 0.3))
    with torch.no_grad():
        assert distances[name](x, x).abs().max() < 1e-5
        near, far = distances[name](x, some), distances[name](x, more)
    assert near.shape == (2,)
    assert (near > 0).all()
    assert (far > near).all()


FETCHED = all((weights_folder() / f"{name}.safetensors").is_file() for name in ("alexnet", "vgg16"))


@pytest.mark.skipif(not FETCHED, reason="64 MB: python -m benchmarks.fetch_weights")
@pytest.mark.parametrize(("name", "expected"), [("alexnet", (0.722, 0.138)), ("vgg16", (0.569, 0.422))])
def test_the_authors_example_pair_is_where_they_say(name, expected):
    def example(which: str) -> torch.Tensor:
        with Image.open(Path(__file__).resolve().parents[1] / "lpips_example" / f"ex_{which}.png") as image:
            pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255

    distance = LPIPS(name)
    with torch.no_grad():
        found = [float(distance(example("ref"), example(which))) for which in ("p0", "p1")]
    assert found == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "dists"])
def test_as_a_loss_it_leads_back_and_stays_finite_on_flat_pictures(distances, name):
    torch.manual_seed(2)
    x = torch.full((1, 3, 64, 64), 0.5)
    y = (x + 0.05 * torch.randn_like(x)).requires_grad_()
    before = distances[name](x, y).sum()
    (gradient,) = torch.autograd.grad(before, y)
    assert torch.isfinite(gradient).all()
    with torch.no_grad():
        after = distances[name](x, y - 0.01 * gradient / gradient.abs().max()).sum()
    assert after < before
    flat = x.clone().requires_grad_()
    assert torch.isfinite(torch.autograd.grad(distances[name](x, flat).sum(), flat)[0]).all()
    assert not list(distances[name].parameters())


@pytest.mark.parametrize("name", ["alexnet", "dists"])
@pytest.mark.slow
def test_half_precision_networks_give_nearly_the_same(distances, name):
    """Of pictures as unlike as training has them; of near ones, at .01, rounding alone may be 7 %."""
    torch.manual_seed(5)
    x = torch.rand(1, 3, 64, 64)
    y = (x + 0.3 * torch.randn_like(x)).clamp(0, 1)
    with torch.no_grad():
        exact = float(distances[name](x, y))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert float(distances[name](x, y)) == pytest.approx(exact, rel=0.02)


def test_lpips_is_the_weighted_difference_of_unit_features(folder, distances):
    torch.manual_seed(3)
    x, y = torch.rand(2, 1, 3, 64, 64)
    lpips = distances["alexnet"]
    heads = load_file(folder / "alexnet.safetensors")
    expected = 0.0
    for i, (a, b) in enumerate(zip(lpips.features(x), lpips.features(y), strict=True)):
        a, b = (f / f.norm(dim=1, keepdim=True).clamp_min(1e-9) for f in (a, b))
        weight = heads[f"lin{i}.weight"].float()
        expected += float(((a - b) ** 2 * weight).sum(1).mean())
    assert float(lpips(x, y)) == pytest.approx(expected, rel=1e-4)


def test_features_are_those_of_the_published_networks(folder, distances):
    """Kernel sizes are in the weights; strides, padding and pooling are not."""
    torch.manual_seed(4)
    x = torch.rand(1, 3, 70, 101)

    def convolution(tensors, i, h, stride=1, padding=1):
        weight, bias = (tensors[f"conv{i}.{part}"].float() for part in ("weight", "bias"))
        return F.conv2d(h, weight, bias, stride, padding)

    tensors = load_file(folder / "alexnet.safetensors")
    shift, scale = (torch.tensor(v)[:, None, None] for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    h = ((2 * x - 1) - shift) / scale
    expected = [convolution(tensors, 0, h, 4, 2).relu()]
    expected.append(convolution(tensors, 1, F.max_pool2d(expected[-1], 3, 2), 1, 2).relu())
    expected.append(convolution(tensors, 2, F.max_pool2d(expected[-1], 3, 2)).relu())
    expected += [convolution(tensors, 3, expected[-1]).relu()]
    expected += [convolution(tensors, 4, expected[-1]).relu()]
    for found, wanted in zip(distances["alexnet"].features(x), expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4)

    tensors = load_file(folder / "vgg16.safetensors")
    h, i = ((2 * x - 1) - shift) / scale, 0
    for stage, (count, found) in enumerate(zip((2, 2, 3, 3, 3), distances["vgg16"].features(x), strict=True)):
        h = F.max_pool2d(h, 2, 2) if stage else h
        for _ in range(count):
            h, i = convolution(tensors, i, h).relu(), i + 1
        assert torch.allclose(found, h, rtol=1e-3, atol=1e-3 * float(h.max()))


def test_features_that_are_all_zero_are_at_no_distance(distances):
    lpips = distances["alexnet"]
    nothing = [torch.zeros_like(f) for f in lpips.features(torch.rand(1, 3, 64, 64))]
    assert float(lpips.compare(nothing, nothing)) == 0


@pytest.mark.parametrize("name", ["alexnet", "dists"])
def test_lists_of_features_are_of_one_length(distances, name):
    features = distances[name].features(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="zip"):
        distances[name].compare(features, features[:-1])


@pytest.mark.parametrize(("name", "layers"), [("alexnet", 1), ("dists", 2)])
def test_inputs_are_normalised_as_the_networks_were_trained(folder, distances, name, layers):
    """The first map of a flat picture, away from its borders, by the published means and deviations."""
    colour = np.array([0.9, 0.2, 0.6])
    if name == "dists":
        values = (colour - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]  # ImageNet's, of 0..1
    else:
        values = (2 * colour - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]  # LPIPS's, of -1..1
    tensors = load_file(folder / f"{'vgg16' if name == 'dists' else name}.safetensors")
    for i in range(layers):
        kernel, bias = (tensors[f"conv{i}.{part}"].double().numpy() for part in ("weight", "bias"))
        values = np.maximum(kernel.sum((2, 3)) @ values + bias, 0)
    x = torch.tensor(colour, dtype=torch.float32)[None, :, None, None].expand(1, 3, 48, 48)
    first = distances[name].features(x)[1 if name == "dists" else 0]
    middle = first[0, :, first.shape[2] // 2, first.shape[3] // 2]
    assert middle.numpy() == pytest.approx(values, rel=1e-3, abs=1e-3)


@pytest.fixture
def maps():
    """Two lists of features with the channels that DISTS expects, of 3x4 pixels; (1, C, 3, 4) each."""
    random = np.random.default_rng(6)
    return [
        [random.uniform(0, 2, (1, channels, 3, 4)).astype(np.float32) for channels in CHANNELS]
        for _ in range(2)
    ]


def test_dists_weighs_means_by_alpha_and_covariances_by_beta(folder, distances, maps):
    weights = load_file(folder / "dists.safetensors")
    alpha, beta = (weights[name].double().numpy().ravel() for name in ("alpha", "beta"))
    similarity, channel = 0.0, 0
    for a, b in zip(*maps, strict=True):
        for x, y in zip(a[0].astype(float), b[0].astype(float), strict=True):
            covariance = np.cov(x.ravel(), y.ravel(), bias=True)
            texture = (2 * x.mean() * y.mean() + 1e-6) / (x.mean() ** 2 + y.mean() ** 2 + 1e-6)
            structure = (2 * covariance[0, 1] + 1e-6) / (covariance[0, 0] + covariance[1, 1] + 1e-6)
            similarity += alpha[channel] * texture + beta[channel] * structure
            channel += 1
    assert channel == len(alpha) == 1475
    expected = 1 - similarity / (alpha.sum() + beta.sum())
    found = distances["dists"].compare(*([torch.from_numpy(m) for m in features] for features in maps))
    assert float(found) == pytest.approx(expected, abs=1e-5)
    assert 0.1 < expected < 1


def test_dists_pools_by_the_root_of_the_weighted_mean_square(distances):
    """The window is the outer product of 1/4, 1/2, 1/4 with itself, at every second pixel."""
    x = torch.zeros(1, 2, 5, 5)
    x[0, 0, 2, 2] = 4  # below the middle of a window: 4^2 times 4/16
    x[0, 1, 1, 1] = 4  # in a corner of four: 4^2 times 1/16
    first, second = distances["dists"]._pool(x)[0].numpy()
    assert first == pytest.approx(np.array([[0, 0, 0], [0, 2, 0], [0, 0, 0]]), abs=1e-5)
    assert second == pytest.approx(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]), abs=1e-5)


def test_dists_ignores_where_texture_lies(distances):
    """Mirroring noise changes every pixel and hardly any statistic; blurring it is another texture."""
    torch.manual_seed(4)
    x = 0.5 + 0.2 * torch.randn(1, 3, 64, 64)
    mirrored, blurred = x.flip(3), torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    with torch.no_grad():
        assert distances["dists"](x, mirrored) < distances["dists"](x, blurred)


def test_missing_weights_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(tmp_path / "none"))
    assert weights_folder() == tmp_path / "none"
    with pytest.raises(ModelNotFound, match=re.escape("python -m benchmarks.fetch_weights")):
        LPIPS()
    with pytest.raises(ValueError, match="alexnet, vgg16"):
        LPIPS("resnet")


def test_networks_keep_nothing_in_states_and_know_their_name(folder):
    """Made here, not in a fixture: what is wrong in them is then this test's failure."""
    for network in ("alexnet", "vgg16"):
        lpips = LPIPS(network, folder)
        assert (lpips.network, len(lpips.state_dict())) == (network, 0)
        assert len(lpips.features(torch.rand(1, 3, 64, 64))) == 5


def test_dists_pools_by_the_hann_weighted_root_of_the_mean_square(folder):
    dists = DISTS(folder)
    assert len(dists.state_dict()) == 0
    x = torch.rand(1, 2, 7, 9)
    window = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    squares = F.pad(x.square(), (1, 1, 1, 1))
    expected = torch.stack(
        [
            torch.stack(
                [(squares[..., r : r + 3, c : c + 3] * window).sum((2, 3)) for c in range(0, 9, 2)], -1
            )
            for r in range(0, 7, 2)
        ],
        -2,
    )
    assert torch.allclose(dists._pool(x), (expected + 1e-12).sqrt(), rtol=1e-5)


def test_weights_lie_beside_the_user_s_models_and_damaged_ones_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("VQCODEC_PERCEPTUAL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "vqcodec" / "perceptual"
    path = tmp_path / "alexnet.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(ModelNotFound, match=f"^{re.escape(str(path))} is not a safetensors file: "):
        LPIPS("alexnet", tmp_path)
