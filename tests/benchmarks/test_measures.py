"""Judges of rate-distortion runs: libjxl's own scores, ideal and worse pictures, what a missing one says."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import correlate1d

from tests.tiny import picture
from vqcodec.errors import ModelNotFound
from vqcodec.metrics.perceptual import DISTS, LPIPS
from vqcodec.metrics.ssimulacra2 import weighted_error

SAMPLES = Path(__file__).resolve().parents[2] / "vqcodec" / "samples"
IDEAL = {"ms_ssim": 1, "ssimulacra2": 100, "butteraugli": 0, "cvvdp": 10, "lpips": 0, "dists": 0}


@pytest.fixture
def measures(bench, monkeypatch, thin_perceptual_weights):
    """The module, with random networks, and nothing loaded before."""
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(thin_perceptual_weights))
    module = bench("measures")
    module.judge.cache_clear()
    yield module
    module.judge.cache_clear()


def noisy(pixels, size):
    noise = np.random.default_rng(0).normal(0, size, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def in_order(measures, bench, name):
    """Equal pictures have the ideal value, and more noise a worse one."""
    judge, pixels = measures.judge(name), picture(192, 208)
    values = [judge(pixels, other) for other in (pixels.copy(), noisy(pixels, 6), noisy(pixels, 30))]
    assert values[0] == pytest.approx(IDEAL[name], abs=1e-4)
    assert values == sorted(values, reverse=name not in bench("report.results").LOWER_IS_BETTER)
    assert len(set(values)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ms_ssim", "ssimulacra2", "lpips", "dists"])
def test_equal_pictures_are_ideal_and_noise_is_worse(measures, bench, name):
    in_order(measures, bench, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "there", "error", "advice"),
    [
        (
            "butteraugli",
            shutil.which("butteraugli_main"),
            FileNotFoundError,
            "apt-get install libjxl-devtools",
        ),
        ("cvvdp", importlib.util.find_spec("pycvvdp"), ImportError, "pip install --no-deps cvvdp"),
    ],
)
def test_what_must_be_installed_apart_measures_or_says_how_to_get_it(
    measures, bench, name, there, error, advice
):
    if there:
        in_order(measures, bench, name)
        assert name != "cvvdp" or bench("processes").installed("cvvdp") in measures.definition("cvvdp")
    else:
        with pytest.raises(error, match=advice):
            measures.judge(name)


def test_every_figure_has_a_judge(measures, bench):
    assert ("psnr", *measures.NAMES) == bench("report.results").FIGURES


# By `ssimulacra2` of libjxl 0.11.2 (Debian's libjxl-devtools 0.11.2-0.1~deb13u3).
LIBJXL = {
    ("dog.png", "coarse"): 18.5613251,
    ("dog.png", "blurred"): 57.99437983,
    ("reflect_192x192.png", "grey"): 74.11333489,
    ("reflect_192x192.png", "noisy"): 71.07843035,
    ("sumac_256x192.png", "coarse"): 72.00732504,
    ("sumac_256x192.png", "blurred"): -3.50519622,
    ("sumac_256x192.png", "grey"): 55.30624754,
    ("sumac_256x192.png", "noisy"): 81.54579855,
}


def spoiled(pixels, how):
    if how == "coarse":
        return pixels // 24 * 24 + 12
    if how == "blurred":
        small = Image.fromarray(pixels).reduce(3)
        return np.asarray(small.resize(pixels.shape[1::-1], Image.Resampling.NEAREST))
    if how == "grey":
        return (pixels // 2 + pixels.mean(2, keepdims=True).astype(np.uint8) // 2).astype(np.uint8)
    noise = np.random.default_rng(5).integers(-9, 10, pixels.shape)
    return (pixels.astype(int) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("name", "how"), LIBJXL)
def test_ssimulacra2_is_what_libjxls_program_says(measures, name, how):
    with Image.open(SAMPLES / name) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert measures.judge("ssimulacra2")(pixels, spoiled(pixels, how)) == pytest.approx(
        LIBJXL[name, how], abs=0.05
    )


def test_measuring_leaves_the_loss_of_the_same_definition_differentiable(measures):
    first, second = picture(23, 31, seed=1), picture(23, 31, seed=2)
    with torch.inference_mode():
        measures.judge("ssimulacra2")(first, second)
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (first, second))
    weighted_error(x, y.requires_grad_()).sum().backward()
    assert y.grad is not None
    assert y.grad.abs().sum() > 0


def test_a_picture_too_small_for_ssimulacra2_is_refused(measures):
    with pytest.raises(ValueError, match="8 pixels"):
        measures.judge("ssimulacra2")(picture(7, 20), picture(7, 20))


def test_deep_distances_are_the_metrics_and_keep_the_features_of_one_original(measures, monkeypatch):
    first, second = picture(64, 80, seed=1), picture(64, 80, seed=2)
    x, y, z = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (first, second, first // 2))
    with torch.no_grad():
        expected = [float(LPIPS("alexnet")(*pair)) for pair in ((x, y), (x, z), (y, z))]
        assert measures.judge("dists")(first, second) == pytest.approx(float(DISTS()(x, y)), abs=1e-6)
    judge = measures.judge("lpips")
    seen = []
    features = judge.distance.features

    def watched(x):
        seen.append(x)
        return features(x)

    monkeypatch.setattr(judge.distance, "features", watched)
    pairs = ((first, second), (first, first // 2), (second, first // 2))
    assert [judge(*pair) for pair in pairs] == pytest.approx(expected, abs=1e-6)
    assert len(set(expected)) == 3
    assert len(seen) == 5  # two originals and three files


def test_without_networks_it_says_how_to_fetch_them(measures, monkeypatch, tmp_path):
    monkeypatch.setenv("VQCODEC_PERCEPTUAL", str(tmp_path))
    for name in ("lpips", "dists"):
        with pytest.raises(ModelNotFound, match=r"benchmarks\.fetch_weights"):
            measures.judge(name)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program called butteraugli_main, with these lines of shell, alone on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(lines):
        path = folder / "butteraugli_main"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)

    return write


def test_butteraugli_is_the_3_norm_of_a_program_that_gets_both_pictures(measures, bench, program):
    module = bench("butteraugli")
    module.version.cache_clear()
    original, decoded = picture(20, 30, seed=1), picture(20, 30, seed=2)
    with pytest.raises(FileNotFoundError, match="apt-get install libjxl-devtools"):
        measures.judge("butteraugli")
    program('case "$1-$2" in *original.ppm-*decoded.ppm) echo 4.5; echo "3-norm: 1.250000";; esac')
    assert measures.judge("butteraugli")(original, decoded) == 1.25
    said = measures.definition("butteraugli")
    assert "SHA-256" in said
    program("echo broken >&2; exit 3")
    module.version.cache_clear()
    assert measures.definition("butteraugli") != said
    with pytest.raises(OSError, match="butteraugli_main failed: broken"):
        module.butteraugli(original, decoded)
    program("echo 4.5")
    with pytest.raises(OSError, match=r"butteraugli_main failed: 4\.5"):
        module.butteraugli(original, decoded)
    module.version.cache_clear()


def test_the_blur_of_colorvideovdp_is_a_mirrored_gaussian(bench):
    blur = bench("colour_vdp").GaussianBlur(13, 3.0)
    x = np.random.default_rng(0).normal(size=(2, 24, 31)).astype(np.float32)
    taps = np.exp(-0.5 * (np.arange(-6, 7) / 3.0) ** 2)
    expected = x
    for axis in (1, 2):
        expected = correlate1d(expected, taps / taps.sum(), axis, mode="mirror")
    assert blur(torch.from_numpy(x)).numpy() == pytest.approx(expected, abs=1e-5)
